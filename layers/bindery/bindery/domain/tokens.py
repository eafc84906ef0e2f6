"""Tokens that we make and read ourselves: build tokens (JWT, HS256, as BinderHub's), signed event ids, launcher tokens.

The standard library is enough, and saves a function's cold start the 150 ms that a JWT package takes to import.
"""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass

from bindery.domain.errors import BadBuildToken

HEADER = {"alg": "HS256", "typ": "JWT"}
LONGEST = 16384  # an audience of 2000 characters, each escaped, still fits
SHORTEST_SECRET = 32


@dataclass(frozen=True)
class BuildToken:
    """jti: random, determines the launch's id. expires: UTC seconds; counts only when the launch is created."""

    jti: str
    origin: str
    expires: float


@dataclass(frozen=True)
class Tokens:
    """secret: at least 32 random characters, the same for every function. Raises ValueError for a shorter one."""

    secret: str

    def __post_init__(self) -> None:
        if len(self.secret) < SHORTEST_SECRET:
            raise ValueError(f"BINDERY_SECRET has to have {SHORTEST_SECRET} random characters or more")

    def build_token(self, audience: str, origin: str, jti: str, expires: float) -> str:
        """Permits one launch of `audience` (`<provider>/<raw spec>`)."""
        claims = {"exp": int(expires), "aud": audience, "origin": origin, "jti": jti}
        told = f"{_encode(json.dumps(HEADER).encode())}.{_encode(json.dumps(claims).encode())}"
        return f"{told}.{_encode(self._mac('build', told))}"

    def read_build_token(self, token: str, audience: str) -> BuildToken:
        """Raises BadBuildToken if it is not ours or not for `audience`; does not look at its expiry."""
        told, _, signature = token.rpartition(".")
        if len(token) > LONGEST or not _same(signature, _encode(self._mac("build", told))):
            raise BadBuildToken(why="its signature is not ours")
        try:
            header, claims = (json.loads(_decode(part)) for part in told.split("."))
            read = BuildToken(str(claims["jti"]), str(claims["origin"]), float(claims["exp"]))
            meant = claims["aud"]
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise BadBuildToken(why="it cannot be read") from error
        if header != HEADER or meant != audience:
            raise BadBuildToken(why="it is for another repository")
        return read

    def event_id(self, launch: str, told: str) -> str:
        """What an event bears: `told` says how much was told up to and with it."""
        return f"{launch}:{told}:{self._sign('event', f'{launch}:{told}')}"

    def read_event_id(self, event_id: str) -> tuple[str, str]:
        """launch, told. Raises BadBuildToken."""
        told, _, signature = event_id[:LONGEST].rpartition(":")
        if not _same(signature, self._sign("event", told)):
            raise BadBuildToken(why="the event id is not ours")
        launch, _, count = told.partition(":")
        return launch, count

    def launcher_token(self, launch: str) -> str:
        """Lets whoever created a launch look at it and stop it."""
        return self._sign("launcher", launch)

    def is_launcher(self, token: str, launch: str) -> bool:
        """Whether the token is this launch's."""
        return _same(token, self.launcher_token(launch))

    def _sign(self, purpose: str, told: str) -> str:
        return _encode(self._mac(purpose, told)[:18])

    def _mac(self, purpose: str, told: str) -> bytes:
        """Build tokens are plain JWTs under the secret itself; every other purpose has a key of its own."""
        key = self.secret.encode()
        if purpose != "build":
            key = hmac.digest(key, purpose.encode(), "sha256")
        return hmac.digest(key, told.encode("utf-8", "surrogatepass"), "sha256")


def launch_id(jti: str) -> str:
    """The launch that a build token's jti leads to: lower-case letters and digits, fit for a host name."""
    return base64.b32encode(hashlib.sha256(f"launch {jti}".encode()).digest())[:26].decode().lower()


def _same(given: str, ours: str) -> bool:
    """In the same time wherever they differ; whatever characters were given."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), ours.encode())


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
