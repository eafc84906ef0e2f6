"""A container registry, as the distribution specification has it: what it holds, and how it wants to be asked."""

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
# Docker builds and pushes the first two, other tools and newer versions any of the rest.
_MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
)
_SECONDS, _CONNECT_SECONDS = 5.0, 2.0
_TOKEN_SECONDS, _EARLY_SECONDS = 60.0, 10.0
_SAID = re.compile(r'(\w+)="([^"]*)"')
_MISSING, _NOT_ALLOWED, _UNAUTHORIZED = 404, 405, (401, 403)
_ACTIONS = {"HEAD": "pull", "DELETE": "delete"}


class Registry:
    """All images lie in one repository of it, by tag and by digest.

    address: `https://quay.io/my-org`; http: without TLS. user, password: go to this host, and to where it says that tokens
    are given (over https), and to nobody else. Every question may raise BuildServiceDown.
    """

    def __init__(self, address: str, user: str = "", password: str = "") -> None:
        parts = urlsplit(address)
        self.secure, self.host = parts.scheme == "https", parts.netloc
        self.repository = f"{parts.path}/{REPOSITORY}".strip("/")
        self._given = user, password
        self._authorization, self._good_until = "", 0.0

    @property
    def name(self) -> str:
        """What every image's name begins with."""
        return f"{self.host}/{self.repository}"

    def tagged(self, tag: str) -> str:
        return f"{self.name}:{tag}"

    def by_digest(self, digest: str) -> str:
        return f"{self.name}@{digest}"

    @property
    def login(self) -> str:
        """The credentials, as a file for container tools (`auth.json`, docker's `config.json`)."""
        if not self._credentials[0]:
            return "{}"
        host = "https://index.docker.io/v1/" if self.host == "docker.io" else self.host
        return json.dumps({"auths": {host: {"auth": self._basic}}})

    def has(self, image: str) -> bool:
        """Whether an image that was pushed there, named by digest, still is."""
        name, _, digest = image.partition("@")
        return name == self.name and DIGEST.fullmatch(digest) is not None and self._manifest(digest) is not None

    def remove(self, image: str) -> bool:
        """Delete an image that was pushed there, named by digest; False if the registry does not allow it.

        https://github.com/opencontainers/distribution-spec/blob/main/spec.md#deleting-manifests
        """
        name, _, digest = image.partition("@")
        if name != self.name or not DIGEST.fullmatch(digest):
            return True
        self._forget_token()  # it may have been given for pulls only
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
        """What the tag stands for."""
        answer = self._manifest(tag) if _TAG.fullmatch(tag) else None
        digest = answer.headers.get("Docker-Content-Digest", "") if answer else ""
        return digest if DIGEST.fullmatch(digest) else None

    def _manifest(self, reference: str) -> "httpx.Response | None":
        """The answer, if there is such a manifest."""
        answer = self._answer(f"{self._api}/v2/{self.repository}/manifests/{reference}")
        if answer.is_success:
            return answer
        if answer.status_code == _MISSING:
            return None
        if answer.status_code in _UNAUTHORIZED:
            raise BuildServiceDown(why=f"the registry {self.host} does not accept the credentials that are set for it")
        raise BuildServiceDown(why=f"the registry {self.host} answered {answer.status_code}")

    def _answer(self, url: str, method: str = "HEAD") -> "httpx.Response":
        """After what it takes to be let in."""
        import httpx

        actions = _ACTIONS[method]
        try:
            answer = self._shown(method, url)
            challenge = answer.headers.get("WWW-Authenticate", "")
            if answer.status_code in _UNAUTHORIZED and self._user_or_token(challenge, actions):
                answer = self._shown(method, url)
        except (httpx.InvalidURL, ValueError, RecursionError) as error:  # where its tokens are, or a token itself
            raise BuildServiceDown(why=f"the registry {self.host} wants what makes no sense") from error
        return answer

    def _forget_token(self) -> None:
        self._authorization, self._good_until = "", 0.0

    def _shown(self, method: str, url: str) -> "httpx.Response":
        known = self._authorization if time.monotonic() < self._good_until else ""
        headers = {"Accept": ", ".join(_MANIFESTS), **({"Authorization": known} if known else {})}
        return self._ask(method, url, headers)

    def _ask(self, method: str, url: str, headers: dict[str, str]) -> "httpx.Response":
        import httpx

        try:
            try:
                return self._client.request(method, url, headers=headers)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):  # the kept connection had ended
                return self._client.request(method, url, headers=headers)
        except httpx.HTTPError as error:
            host = urlsplit(url).netloc
            raise BuildServiceDown(why=f"the registry {host} does not answer ({type(error).__name__})") from error

    def _user_or_token(self, challenge: str, actions: str) -> bool:
        """Whether there is something new to authorize with, after the registry said how it wants it."""
        scheme, _, rest = challenge.partition(" ")
        said = dict(_SAID.findall(rest))
        if scheme.lower() == "basic" and self._credentials[0]:
            self._authorization, self._good_until = f"Basic {self._basic}", float("inf")
            return True
        if scheme.lower() == "bearer" and self._may_be_told(said.get("realm", "")):
            self._fetch_token(said, actions)
            return True
        return False

    def _may_be_told(self, realm: str) -> bool:
        parts = urlsplit(realm)
        return parts.scheme == "https" or (parts.scheme == "http" and not self.secure and parts.netloc == self.host)

    def _fetch_token(self, said: dict[str, str], actions: str) -> None:
        import httpx

        wanted = {"service": said.get("service", ""), "scope": f"repository:{self.repository}:{actions}"}
        url = httpx.URL(said["realm"]).copy_merge_params({key: value for key, value in wanted.items() if value})
        answer = self._ask("GET", str(url), {"Authorization": f"Basic {self._basic}"} if self._credentials[0] else {})
        try:
            told = answer.json() if answer.is_success else {}
            token = told.get("token") or told["access_token"]
            seconds = float(told.get("expires_in") or _TOKEN_SECONDS)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BuildServiceDown(why=f"the registry {self.host} gives no token ({answer.status_code})") from None
        self._authorization, self._good_until = f"Bearer {token}", time.monotonic() + max(seconds - _EARLY_SECONDS, 1)

    @property
    def _credentials(self) -> tuple[str, str]:
        """User and password; both empty: anybody may."""
        return self._given

    @property
    def _basic(self) -> str:
        return base64.b64encode(":".join(self._credentials).encode()).decode()

    @property
    def _api(self) -> str:
        host = "registry-1.docker.io" if self.host == "docker.io" else self.host
        return f"{'https' if self.secure else 'http'}://{host}"

    @cached_property
    def _client(self) -> "httpx.Client":
        """Keeps its connections; may be used by several threads."""
        import httpx

        return httpx.Client(timeout=httpx.Timeout(_SECONDS, connect=_CONNECT_SECONDS))

    def close(self) -> None:
        """Let its connections go."""
        if "_client" in self.__dict__:
            self._client.close()
