"""Tokens that Bindery issues and verifies: build tokens (JWT, HS256, as BinderHub's), signed event ids, launcher tokens.

It uses only the standard library. The import of a JWT package would add 150 ms to a function's cold start.
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
    """Claims of a build token.

    jti: random; the launch's id is derived from it. expires: UTC seconds; checked only when the launch is created.
    """

    jti: str
    origin: str
    expires: float


@dataclass(frozen=True)
class Tokens:
    """Issuer and verifier of tokens.

    secret: at least 32 random characters, the same for every function. Raises ValueError for a shorter one.
    """

    secret: str

    def __post_init__(self) -> None:
        if len(self.secret) < SHORTEST_SECRET:
            raise ValueError(f"BINDERY_SECRET has to have {SHORTEST_SECRET} random characters or more")

    def build_token(self, audience: str, origin: str, jti: str, expires: float) -> str:
        """Return a token that permits one launch of `audience` (`<provider>/<raw spec>`)."""
        claims = {"exp": int(expires), "aud": audience, "origin": origin, "jti": jti}
        payload = f"{_encode(json.dumps(HEADER).encode())}.{_encode(json.dumps(claims).encode())}"
        return f"{payload}.{_encode(self._mac('build', payload))}"

    def read_build_token(self, token: str, audience: str) -> BuildToken:
        """Return the token's claims. Raises BadBuildToken if its signature is wrong or it is not for `audience`; ignores its expiry."""
        payload, _, signature = token.rpartition(".")
        if len(token) > LONGEST or not _same(signature, _encode(self._mac("build", payload))):
            raise BadBuildToken(why="its signature is not ours")
        try:
            header, claims = (json.loads(_decode(part)) for part in payload.split("."))
            read = BuildToken(str(claims["jti"]), str(claims["origin"]), float(claims["exp"]))
            token_audience = claims["aud"]
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise BadBuildToken(why="it cannot be read") from error
        if header != HEADER or token_audience != audience:
            raise BadBuildToken(why="it is for another repository")
        return read

    def event_id(self, launch: str, cursor: str) -> str:
        """Return the id of an event. cursor: the client's position after this event."""
        return f"{launch}:{cursor}:{self._sign('event', f'{launch}:{cursor}')}"

    def read_event_id(self, event_id: str) -> tuple[str, str]:
        """Return the launch and the cursor of an event id. Raises BadBuildToken."""
        payload, _, signature = event_id[:LONGEST].rpartition(":")
        if not _same(signature, self._sign("event", payload)):
            raise BadBuildToken(why="the event id is not ours")
        launch, _, cursor = payload.partition(":")
        return launch, cursor

    def launcher_token(self, launch: str) -> str:
        """Return the token that allows the creator of a launch to read and stop it."""
        return self._sign("launcher", launch)

    def is_launcher(self, token: str, launch: str) -> bool:
        """Return whether the token belongs to this launch."""
        return _same(token, self.launcher_token(launch))

    def _sign(self, purpose: str, payload: str) -> str:
        return _encode(self._mac(purpose, payload)[:18])

    def _mac(self, purpose: str, payload: str) -> bytes:
        """Return the MAC of a payload. Build tokens are plain JWTs signed with the secret itself; every other purpose has its own key."""
        key = self.secret.encode()
        if purpose != "build":
            key = hmac.digest(key, purpose.encode(), "sha256")
        return hmac.digest(key, payload.encode("utf-8", "surrogatepass"), "sha256")


def launch_id(jti: str) -> str:
    """Return the launch's id for a build token's jti: lower-case letters and digits, valid in a host name."""
    return base64.b32encode(hashlib.sha256(f"launch {jti}".encode()).digest())[:26].decode().lower()


def _same(received: str, expected: str) -> bool:
    """Compare in constant time, for any characters in `received`."""
    return hmac.compare_digest(received.encode("utf-8", "surrogatepass"), expected.encode())


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
