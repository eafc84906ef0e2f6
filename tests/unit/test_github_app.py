"""The tokens of a GitHub App, from a server that checks the App's signature as GitHub's documentation says."""

import json
import logging
from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from bindery.adapters.hosts.github.api import github_api
from bindery.adapters.hosts.github.app_tokens import GitHubApp
from bindery.adapters.hosts.rest_api import HostApi
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import RepositoryNotFound
from bindery.settings import Settings
from tests.fakes.clock import FakeClock
from tests.serving.github_app import PEM, AppServer
from tests.serving.host_api import Reply
from tests.serving.providers import every_provider


@pytest.fixture
def server(clock: FakeClock) -> Iterator[AppServer]:
    with AppServer(clock) as server:
        server.replies["/x"] = Reply(200, {})
        yield server


def api(server: AppServer, clock: FakeClock, app: str = "42", key: str = PEM) -> HostApi:
    client = GuardedClient([server.address])
    return github_api(
        client, clock, server.url, GitHubApp(client, clock, server.url, app=app, installation="7", key=key)
    )


def bearers(server: AppServer) -> list[str | None]:
    return [request.headers.get("authorization") for request in server.requests if request.path == "/x"]


def test_a_token_is_requested_once_and_used_until_shortly_before_its_end(server: AppServer, clock: FakeClock) -> None:
    github = api(server, clock)
    for _ in range(3):
        github.get("/x", "")
    clock.time += 3600 - 301
    github.get("/x", "")
    assert (bearers(server), len(server.permits)) == (["Bearer ghs_1"] * 4, 1)
    clock.time += 2
    github.get("/x", "")
    assert (bearers(server)[-1], len(server.permits)) == ("Bearer ghs_2", 2)


def test_a_refused_app_is_logged_and_requests_are_sent_without_a_token(
    server: AppServer, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    github = api(server, clock, app="43")
    with caplog.at_level(logging.WARNING, "bindery"):
        for _ in range(3):
            assert github.get("/x", "").body is not None
    assert bearers(server) == [None] * 3
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "status 401" in caplog.text
    sent = json.dumps([request.headers.get("authorization", "") for request in server.requests])
    assert not any(secret in caplog.text for secret in (PEM, PEM.splitlines()[1], sent.split('"')[1]))


def test_an_unreadable_key_is_logged(server: AppServer, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    api(server, clock, key="-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\n").get("/x", "")
    assert "key cannot be read" in caplog.text
    assert bearers(server) == [None]


def test_repositories_and_gists_are_requested_with_tokens_of_the_app(server: AppServer, clock: FakeClock) -> None:
    settings = Settings.read({**APP, "BINDERY_GITHUB_API_URL": server.url, "BINDERY_GITHUB_TOKEN": "another"})
    providers = every_provider(GuardedClient([server.address]), settings, clock)
    for name, spec in (("gh", "o/r/HEAD"), ("gist", "o/0123abcd")):
        with pytest.raises(RepositoryNotFound):
            providers[name].resolve(spec)
    tokens = [
        request.headers["authorization"] for request in server.requests if request.path.startswith(("/repos", "/gists"))
    ]
    assert tokens == ["Bearer ghs_1", "Bearer ghs_2"]


def test_the_key_is_never_sent(server: AppServer, clock: FakeClock) -> None:
    api(server, clock).get("/x", "")
    sent = json.dumps([[request.path, dict(request.headers)] for request in server.requests])
    assert not any(line in sent for line in PEM.splitlines()[1:-1])
    assert "ghs_1" not in "".join(request.path for request in server.requests)


APP = {"BINDERY_GITHUB_APP_ID": "42", "BINDERY_GITHUB_APP_INSTALLATION": "7", "BINDERY_GITHUB_APP_KEY": PEM}


@pytest.mark.parametrize("missing", APP)
def test_an_app_requires_all_its_settings(missing: str) -> None:
    assert Settings.read(APP).github_app_id == "42"
    with pytest.raises(ValidationError, match="a GitHub App needs its id, its key and its installation"):
        Settings.read({name: value for name, value in APP.items() if name != missing})


def test_a_key_on_one_line_is_accepted_and_hidden() -> None:
    read = Settings.read({**APP, "BINDERY_GITHUB_APP_KEY": PEM.replace("\n", "\\n")})
    assert read.github_app_key.get_secret_value() == PEM
    assert PEM.splitlines()[1] not in f"{read!r} {read.model_dump_json()}"
