"""The logins for the images that builds begin from: their owners, their notation, and their use for public images only."""

import base64
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from bindery.domain.errors import BuildServiceDown
from bindery.settings import Settings
from bindery_builder.images.ecr_public import ecr_public
from bindery_builder.images.pull_logins import PullLogin, docker_hub
from tests.serving.loopback import Loopback, Quiet

DIGEST = "sha256:" + "a" * 64


class Hub(Loopback):
    """A registry that gives a token to every client. status: the status of every manifest. asked: the paths of the requested manifests."""

    def __init__(self, status: int = 200) -> None:
        super().__init__(HubAnswer)
        self.status = status
        self.requests: list[str] = []


class HubAnswer(Quiet, BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        owner = self.server.owner
        if self.headers.get("Authorization") != "Bearer for-anybody":
            self.send(401, b"", {"WWW-Authenticate": f'Bearer realm="{owner.origin}/token",service="hub"'})
            return
        owner.requests.append(self.path)
        self.send(owner.status)

    def do_GET(self) -> None:
        assert "Authorization" not in self.headers
        self.send(200, b'{"token": "for-anybody"}')


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as hub:
        yield hub


def login(hub: Hub) -> PullLogin:
    return PullLogin("docker.io", lambda: ("us", "token"), address=hub.origin)


@pytest.mark.parametrize(
    ("status", "public"), [(200, True), (429, True), (401, False), (403, False), (404, False), (500, False)]
)
def test_a_login_is_used_only_for_public_images(hub: Hub, status: int, public: bool) -> None:
    """Otherwise a Dockerfile could name a private image of the operator's account, and its visitors would read it."""
    hub.status = status
    assert login(hub).may_be_used_for("somebody/something:1") is public


def test_a_login_is_not_used_with_an_unreachable_registry() -> None:
    assert not PullLogin("docker.io", lambda: ("", ""), address="http://127.0.0.1:1").may_be_used_for("x")


@pytest.mark.parametrize(
    ("image", "path"),
    [
        ("ubuntu", "library/ubuntu/manifests/latest"),
        ("ubuntu:22.04", "library/ubuntu/manifests/22.04"),
        (f"ubuntu:22.04@{DIGEST}", f"library/ubuntu/manifests/{DIGEST}"),
        ("docker.io/ubuntu", "library/ubuntu/manifests/latest"),
        ("docker.io/library/ubuntu:1", "library/ubuntu/manifests/1"),
        ("jupyter/base-notebook", "jupyter/base-notebook/manifests/latest"),
        ("index.docker.io/a/b/c:1", "a/b/c/manifests/1"),
    ],
)
def test_the_checked_image_is_the_pulled_one(hub: Hub, image: str, path: str) -> None:
    login(hub).may_be_used_for(image)
    assert hub.requests == [f"/v2/{path}"]


def test_the_docker_hub_login_has_the_format_of_container_tools() -> None:
    written = json.loads(docker_hub("us:tok:en").text())["auths"]
    assert base64.b64decode(written["https://index.docker.io/v1/"]["auth"]) == b"us:tok:en"


class EcrPublic:
    def __init__(self, token: str) -> None:
        self.token = token

    def get_authorization_token(self) -> dict[str, dict[str, str]]:
        return {"authorizationData": {"authorizationToken": self.token}}


def test_the_aws_login_for_public_images_is_requested_at_its_first_use() -> None:
    requests: list[bool] = []

    def client() -> EcrPublic:
        requests.append(True)
        return EcrPublic(base64.b64encode(b"AWS:long").decode())

    login = ecr_public(client)
    assert login.may_be_used_for("public.ecr.aws/x/y")
    assert not requests
    assert base64.b64decode(json.loads(login.text())["auths"]["public.ecr.aws"]["auth"]) == b"AWS:long"


def test_an_invalid_token_of_aws_is_an_error_of_the_service() -> None:
    with pytest.raises(BuildServiceDown):
        ecr_public(lambda: EcrPublic("\xff")).text()


@pytest.mark.parametrize("text", ["user", ":token", "user:", "us er:token", "user:to\nken"])
def test_an_invalid_login_prevents_the_start(text: str) -> None:
    with pytest.raises(ValueError, match="user:token"):
        Settings.read({"BINDERY_DOCKER_HUB_LOGIN": text})
