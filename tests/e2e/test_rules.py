"""Tests of the operator's rules: rates, numbers, repositories and networks."""

import re
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.serving.git_http import GitServer, make_repository
from tests.serving.messages import check_readable
from tests.serving.runtime import STREAM, LocalRuntime, until

Spec = Callable[..., str]
BANNED, STRANGER = "127.0.0.2", "127.0.0.3"


@pytest.fixture(scope="module")
def strict(git_server: GitServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRuntime]:
    with LocalRuntime(
        tmp_path_factory.mktemp("strict") / "home",
        settings={"rate_limit": 3, "quota_total": 2, "quota_per_repository": 1, "reconcile_seconds": 2},
        allowed_private_hosts=git_server.address,
        banned_specs='["^git/.*banned.*"]',
        allowed_specs='["^git/.*(allowed|banned|other|third)"]',
        ban_networks=f"{BANNED}/32, 192.0.2.0/24",
    ) as runtime:
        yield runtime


@pytest.fixture
def allowed(git_server: GitServer, spec_of: Spec) -> str:
    make_repository(git_server.root / "allowed.git", {"README.md": "allowed\n"})
    return spec_of("allowed.git")


def request_build(
    bindery: LocalRuntime, spec: str, client: str, headers: dict[str, str] | None = None
) -> httpx.Response:
    """Return the whole response to a client at another address of this machine."""
    with httpx.Client(transport=httpx.HTTPTransport(local_address=client), timeout=120) as stranger:
        return stranger.get(f"{bindery.address}/build/git/{spec}", headers={**STREAM, **(headers or {})})


def test_launches_without_a_page_token_are_limited(strict: LocalRuntime, allowed: str) -> None:
    missing = allowed.replace("HEAD", "missing")
    for remaining in (2, 1, 0):
        answer = request_build(strict, missing, STRANGER)
        assert answer.headers["x-ratelimit-limit"] == "3"
        assert answer.headers["x-ratelimit-remaining"] == str(remaining)
        assert int(answer.headers["x-ratelimit-reset"]) > 1_700_000_000
    before = strict.launches()
    refused = request_build(strict, missing, STRANGER)
    assert '"status_code": 429' in refused.text
    assert re.search(r"Try again in \d+ minutes", refused.text)
    with httpx.Client(transport=httpx.HTTPTransport(local_address=STRANGER), timeout=30) as script:
        answer = script.post(f"{strict.address}/api/launches", json={"provider": "git", "spec": missing})
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert 0 < int(answer.headers["retry-after"]) <= 3600
    assert strict.launches() == before
    token = strict.token(f"git/{missing}", jti="from the page")
    page = request_build(strict, f"{missing}?build_token={token}", STRANGER)
    assert "no branch, tag or commit" in page.text
    assert "x-ratelimit-limit" not in page.headers
    assert strict.launch(missing).response.headers["x-ratelimit-remaining"] == "2"


def test_sessions_are_limited_per_repository_and_in_total(
    strict: LocalRuntime, git_server: GitServer, spec_of: Spec, allowed: str
) -> None:
    for name in ("other.git", "third.git"):
        make_repository(git_server.root / name, {"README.md": name})

    def launch(spec: str, jti: str) -> tuple[str, str]:
        token = strict.token(f"git/{spec}", jti=jti)
        last = strict.launch(spec, build_token=token).last
        return last.phase, last.message

    assert launch(allowed, "first")[0] == "ready"
    url = git_server.url("allowed")
    assert launch(allowed, "second") == ("failed", f"Too many users running {url}! Try again soon.\n")
    assert launch(allowed, "first")[0] == "ready"
    assert launch(spec_of("other.git"), "third")[0] == "ready"
    before = strict.total("binderhub_build_count_total")
    assert launch(spec_of("third.git"), "4th") == ("failed", "Too many users on this BinderHub! Try again soon.\n")
    assert strict.total("binderhub_build_count_total") == before, "built what could not be started"
    assert strict.total("bindery_sessions") == 2
    until(lambda: strict.total("binderhub_launch_count_total", status="failure") >= 2, seconds=90)


def test_banned_and_unlisted_repositories_are_refused(strict: LocalRuntime, spec_of: Spec) -> None:
    for name in ("banned.git", "unlisted.git"):
        spec = spec_of(name)
        token = strict.token(f"git/{spec}", jti=f"for {name}")
        refused = strict.launch(spec, build_token=token)
        assert [event.phase for event in refused.events] == ["failed"]
        assert str(refused.last.data["status_code"]) == "403"
        check_readable(refused.last.message)
        assert "may not be launched here" in refused.last.message
        assert strict.get(f"/v2/git/{spec}").status_code == 403


def test_banned_networks_get_only_a_refusal(strict: LocalRuntime, allowed: str) -> None:
    refused = request_build(strict, allowed, BANNED)
    assert '"status_code": 403' in refused.text
    assert "your network" in refused.text
    pretending = request_build(strict, allowed, BANNED, {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"})
    assert '"status_code": 403' in pretending.text
    context = '{"identity": {"sourceIp": "127.0.0.1"}}'
    pretending = request_build(strict, allowed, BANNED, {"x-amzn-request-context": context})
    assert '"status_code": 403' in pretending.text
    with httpx.Client(transport=httpx.HTTPTransport(local_address=BANNED)) as banned:
        assert banned.get(f"{strict.address}/v2/git/{allowed}").status_code == 403
        created = banned.post(f"{strict.address}/api/launches", json={"provider": "git", "spec": allowed})
        assert created.status_code == 403
        assert banned.get(f"{strict.address}/health").status_code == 200
