"""The registry client: on a real registry, and on one that requires tokens, as the public ones do."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest

from bindery.adapters.oci_registry import Registry
from bindery.domain.errors import BuildServiceDown
from tests.serving.loopback import Loopback, Quiet

DIGEST = "sha256:" + "a" * 64
BASIC = "Basic " + base64.b64encode(b"user:s3cret").decode()


class TokenRegistry(Loopback):
    """A registry with one image. asked: method, path and Authorization of each request. realm: the announced address for tokens."""

    def __init__(self) -> None:
        super().__init__(TokenAnswer)
        self.realm = f"{self.origin}/token"
        self.requests: list[tuple[str, str, str]] = []
        self.tokens = 0
        self.seconds = 300
        self.status = 0


class TokenAnswer(Quiet, BaseHTTPRequestHandler):
    """An answer by the token page of the distribution specification."""

    def do_HEAD(self) -> None:
        self._note()
        if self.server.owner.status:
            self.send(self.server.owner.status)
        elif self.headers.get("Authorization") != f"Bearer token-{self.server.owner.tokens}":
            challenge = f'Bearer realm="{self.server.owner.realm}",service="registry",scope="repository:x:pull"'
            self.send(401, b"", {"WWW-Authenticate": challenge})
        else:
            self.send(200 if self.path.endswith(DIGEST) else 404, b"", {"Docker-Content-Digest": DIGEST})

    def do_DELETE(self) -> None:
        """Answer as do_HEAD does, for a token with the right to delete."""
        self._note()
        if self.server.owner.status:
            self.send(self.server.owner.status)
        elif self.headers.get("Authorization") != f"Bearer token-{self.server.owner.tokens}" or not self._may_delete():
            self.send(401, b"", {"WWW-Authenticate": f'Bearer realm="{self.server.owner.realm}",service="registry"'})
        else:
            self.send(202 if self.path.endswith(DIGEST) else 404)

    def _may_delete(self) -> bool:
        tokens = [path for method, path, _ in self.server.owner.requests if method == "GET"]
        return str(tokens[-1]).endswith("%3Adelete")

    def do_GET(self) -> None:
        self._note()
        if self.headers.get("Authorization") != BASIC:
            self.send(401)
            return
        self.server.owner.tokens += 1
        body = json.dumps(
            {"token": f"token-{self.server.owner.tokens}", "expires_in": self.server.owner.seconds}
        ).encode()
        self.send(200, body)

    def _note(self) -> None:
        self.server.owner.requests.append((self.command, self.path, self.headers.get("Authorization", "")))


@pytest.fixture
def server() -> Iterator[TokenRegistry]:
    with TokenRegistry() as server:
        yield server


@contextmanager
def client(server: TokenRegistry, user: str = "user", password: str = "s3cret") -> Iterator[Registry]:
    registry = Registry(f"{server.origin}/org", user, password)
    yield registry
    registry.close()


def test_a_token_is_requested_once_and_reused_while_valid(server: TokenRegistry) -> None:
    with client(server) as registry:
        image = registry.by_digest(DIGEST)
        assert registry.image_exists(image)
        assert registry.image_exists(image)
        assert not registry.image_exists(registry.by_digest("sha256:" + "b" * 64))
    assert [method for method, _, _ in server.requests] == ["HEAD", "GET", "HEAD", "HEAD", "HEAD"]
    (path_read,) = [path for method, path, _ in server.requests if method == "GET"]
    assert path_read == "/token?service=registry&scope=repository%3Aorg%2Fsessions%3Apull"
    assert [authorization for method, _, authorization in server.requests if method == "HEAD"] == [
        "",
        *["Bearer token-1"] * 3,
    ]


def test_an_expired_token_is_requested_again(server: TokenRegistry) -> None:
    with client(server) as registry:
        assert registry.image_exists(registry.by_digest(DIGEST))
        server.tokens += 1  # the registry no longer takes the first
        assert registry.image_exists(registry.by_digest(DIGEST))


def test_wrong_credentials_are_not_reported_as_a_missing_image(server: TokenRegistry) -> None:
    with client(server, password="wrong") as registry, pytest.raises(BuildServiceDown, match="gives no token"):
        registry.image_exists(registry.by_digest(DIGEST))


@pytest.mark.parametrize("realm", ["http://127.0.0.1:1/token", "ftp://x/token", "", "http://example.org/token"])
def test_credentials_are_not_sent_to_a_foreign_unencrypted_realm(server: TokenRegistry, realm: str) -> None:
    server.realm = realm
    with client(server) as registry, pytest.raises(BuildServiceDown, match="does not accept the credentials"):
        registry.image_exists(registry.by_digest(DIGEST))
    assert {authorization for _, _, authorization in server.requests} == {""}


def test_deletions_and_queries_use_tokens_of_different_scopes(
    server: TokenRegistry,
) -> None:
    with client(server) as registry:
        assert registry.image_exists(registry.by_digest(DIGEST))
        assert registry.remove(registry.by_digest(DIGEST))
        assert registry.remove(registry.by_digest("sha256:" + "b" * 64)), "one that is gone is no error"
        assert registry.image_exists(registry.by_digest(DIGEST))
    scopes = [path.rpartition("%3A")[2] for method, path, _ in server.requests if method == "GET"]
    assert scopes == ["pull", "delete", "delete", "pull"]


@pytest.mark.parametrize("status", [401, 403, 405])
def test_a_registry_that_forbids_deletion_is_reported(server: TokenRegistry, status: int) -> None:
    server.status = status
    with client(server) as registry:
        assert not registry.remove(registry.by_digest(DIGEST))


def test_a_deletion_with_a_server_error_is_reported_as_failed(server: TokenRegistry) -> None:
    server.status = 503
    with client(server) as registry, pytest.raises(BuildServiceDown, match="answered 503"):
        registry.remove(registry.by_digest(DIGEST))


@pytest.mark.parametrize("realm", ["https://[", "https://\x01/"])
def test_an_invalid_realm_is_an_error_of_the_registry(server: TokenRegistry, realm: str) -> None:
    server.realm = realm
    with client(server) as registry, pytest.raises(BuildServiceDown, match="makes no sense"):
        registry.image_exists(registry.by_digest(DIGEST))


@pytest.mark.parametrize("status", [301, 429, 500, 503])
def test_an_error_of_the_registry_is_not_reported_as_a_missing_image(server: TokenRegistry, status: int) -> None:
    server.status = status
    with client(server) as registry, pytest.raises(BuildServiceDown, match=f"answered {status}"):
        registry.image_exists(registry.by_digest(DIGEST))


def test_an_unreachable_registry_is_named() -> None:
    registry = Registry("http://127.0.0.1:1/org")
    with pytest.raises(BuildServiceDown, match=r"127\.0\.0\.1:1 does not answer"):
        registry.image_exists(registry.by_digest(DIGEST))
    registry.close()


@pytest.mark.parametrize("image", ["", "uv/x-1", "quay.io/o/sessions@sha256:x", f"example.org/o/sessions@{DIGEST}"])
def test_images_of_other_registries_are_not_queried(server: TokenRegistry, image: str) -> None:
    with client(server) as registry:
        assert not registry.image_exists(image)
    assert server.requests == []


def test_the_digest_of_a_missing_or_invalid_tag_is_none(server: TokenRegistry) -> None:
    with client(server) as registry:
        assert registry.digest_of("nothing-1") is None
        assert registry.digest_of("../../secrets") is None


def test_docker_hub_uses_its_special_login_address() -> None:
    registry = Registry("https://docker.io/org", "user", "s3cret")
    assert registry.name == "docker.io/org/sessions"
    assert json.loads(registry.login) == {
        "auths": {"https://index.docker.io/v1/": {"auth": BASIC.removeprefix("Basic ")}}
    }
