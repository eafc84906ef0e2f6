"""Client for a container registry: its images and its authentication, as in the OCI distribution specification."""

import base64
import json
import re
import time
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bindery.domain.errors import BuildServiceDown

if TYPE_CHECKING:
    import httpx

REPOSITORY = "sessions"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
# Docker builds and pushes the first two types; other tools and newer versions push any of the others.
_MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
)
_SECONDS, _CONNECT_SECONDS = 5.0, 2.0
_TOKEN_SECONDS, _EARLY_SECONDS = 60.0, 10.0
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_MISSING, _NOT_ALLOWED, _UNAUTHORIZED = 404, 405, (401, 403)
_ACTIONS = {"HEAD": "pull", "DELETE": "delete"}


class Registry:
    """Container registry with all images in one repository, by tag and by digest.

    address: `https://quay.io/my-org`; http: without TLS. user, password: sent only to this host and to the token server that it
    names (over https). Every request may raise BuildServiceDown.
    """

    def __init__(self, address: str, user: str = "", password: str = "") -> None:
        parts = urlsplit(address)
        self.secure, self.host = parts.scheme == "https", parts.netloc
        self.repository = f"{parts.path}/{REPOSITORY}".strip("/")
        self._login = user, password
        self._authorization, self._good_until = "", 0.0

    @property
    def name(self) -> str:
        """Return the prefix of every image's name."""
        return f"{self.host}/{self.repository}"

    def tagged(self, tag: str) -> str:
        return f"{self.name}:{tag}"

    def by_digest(self, digest: str) -> str:
        return f"{self.name}@{digest}"

    @property
    def login(self) -> str:
        """Return the credentials as a file for container tools (`auth.json`, docker's `config.json`)."""
        if not self._credentials[0]:
            return "{}"
        host = "https://index.docker.io/v1/" if self.host == "docker.io" else self.host
        return json.dumps({"auths": {host: {"auth": self._basic}}})

    def image_exists(self, image: str) -> bool:
        """Return True if the registry still has a pushed image. image: named by digest."""
        name, _, digest = image.partition("@")
        return name == self.name and DIGEST.fullmatch(digest) is not None and self._manifest(digest) is not None

    def remove(self, image: str) -> bool:
        """Delete a pushed image. Return False if the registry does not allow it. image: named by digest.

        https://github.com/opencontainers/distribution-spec/blob/main/spec.md#deleting-manifests
        """
        name, _, digest = image.partition("@")
        if name != self.name or not DIGEST.fullmatch(digest):
            return True
        self._forget_token()  # the token may permit pulls only
        try:
            answer = self._answer(f"{self._api}/v2/{self.repository}/manifests/{digest}", "DELETE")
        finally:
            self._forget_token()
        if answer.is_success or answer.status_code == _MISSING:
            return True
        if answer.status_code in (*_UNAUTHORIZED, _NOT_ALLOWED):
            return False
        raise BuildServiceDown(why=f"the registry {self.host} answered {answer.status_code}")

    def digest_of(self, tag: str) -> str | None:
        """Return the digest of a tag; None if the registry does not have the tag."""
        answer = self._manifest(tag) if _TAG.fullmatch(tag) else None
        digest = answer.headers.get("Docker-Content-Digest", "") if answer else ""
        return digest if DIGEST.fullmatch(digest) else None

    def _manifest(self, reference: str) -> "httpx.Response | None":
        """Return the response for a manifest; None if the registry does not have it."""
        answer = self._answer(f"{self._api}/v2/{self.repository}/manifests/{reference}")
        if answer.is_success:
            return answer
        if answer.status_code == _MISSING:
            return None
        if answer.status_code in _UNAUTHORIZED:
            raise BuildServiceDown(why=f"the registry {self.host} does not accept the credentials that are set for it")
        raise BuildServiceDown(why=f"the registry {self.host} answered {answer.status_code}")

    def _answer(self, url: str, method: str = "HEAD") -> "httpx.Response":
        """Send a request, and send it again with credentials if the registry demands them."""
        import httpx

        actions = _ACTIONS[method]
        try:
            answer = self._authorized(method, url)
            challenge = answer.headers.get("WWW-Authenticate", "")
            if answer.status_code in _UNAUTHORIZED and self._user_or_token(challenge, actions):
                answer = self._authorized(method, url)
        except (httpx.InvalidURL, ValueError, RecursionError) as error:  # an invalid token address or an invalid token
            raise BuildServiceDown(why=f"the registry {self.host} wants what makes no sense") from error
        return answer

    def _forget_token(self) -> None:
        self._authorization, self._good_until = "", 0.0

    def _authorized(self, method: str, url: str) -> "httpx.Response":
        credential = self._authorization if time.monotonic() < self._good_until else ""
        headers = {"Accept": ", ".join(_MANIFESTS), **({"Authorization": credential} if credential else {})}
        return self._ask(method, url, headers)

    def _ask(self, method: str, url: str, headers: dict[str, str]) -> "httpx.Response":
        import httpx

        try:
            try:
                return self._client.request(method, url, headers=headers)
            except (
                httpx.RemoteProtocolError,
                httpx.ReadError,
                httpx.WriteError,
            ):  # the reused connection had been closed
                return self._client.request(method, url, headers=headers)
        except httpx.HTTPError as error:
            host = urlsplit(url).netloc
            raise BuildServiceDown(why=f"the registry {host} does not answer ({type(error).__name__})") from error

    def _user_or_token(self, challenge: str, actions: str) -> bool:
        """Return True if the registry's challenge led to new credentials: a user with a password, or a token."""
        scheme, _, rest = challenge.partition(" ")
        parameters = dict(_PARAMETER.findall(rest))
        if scheme.lower() == "basic" and self._credentials[0]:
            self._authorization, self._good_until = f"Basic {self._basic}", float("inf")
            return True
        if scheme.lower() == "bearer" and self._may_receive_login(parameters.get("realm", "")):
            self._fetch_token(parameters, actions)
            return True
        return False

    def _may_receive_login(self, realm: str) -> bool:
        parts = urlsplit(realm)
        return parts.scheme == "https" or (parts.scheme == "http" and not self.secure and parts.netloc == self.host)

    def _fetch_token(self, parameters: dict[str, str], actions: str) -> None:
        import httpx

        query = {"service": parameters.get("service", ""), "scope": f"repository:{self.repository}:{actions}"}
        url = httpx.URL(parameters["realm"]).copy_merge_params({key: value for key, value in query.items() if value})
        answer = self._ask("GET", str(url), {"Authorization": f"Basic {self._basic}"} if self._credentials[0] else {})
        try:
            payload = answer.json() if answer.is_success else {}
            token = payload.get("token") or payload["access_token"]
            seconds = float(payload.get("expires_in") or _TOKEN_SECONDS)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BuildServiceDown(why=f"the registry {self.host} gives no token ({answer.status_code})") from None
        self._authorization, self._good_until = f"Bearer {token}", time.monotonic() + max(seconds - _EARLY_SECONDS, 1)

    @property
    def _credentials(self) -> tuple[str, str]:
        """Return user and password; both empty: the registry needs no credentials."""
        return self._login

    @property
    def _basic(self) -> str:
        return base64.b64encode(":".join(self._credentials).encode()).decode()

    @property
    def _api(self) -> str:
        host = "registry-1.docker.io" if self.host == "docker.io" else self.host
        return f"{'https' if self.secure else 'http'}://{host}"

    @cached_property
    def _client(self) -> "httpx.Client":
        """Return the HTTP client, which reuses connections and is safe for several threads."""
        import httpx

        return httpx.Client(timeout=httpx.Timeout(_SECONDS, connect=_CONNECT_SECONDS))

    def close(self) -> None:
        """Close the connections."""
        if "_client" in self.__dict__:
            self._client.close()
