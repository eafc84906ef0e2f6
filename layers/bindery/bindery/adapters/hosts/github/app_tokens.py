"""Tokens of a GitHub App's installation: each is valid for an hour, so the tokens are not stored.

docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-an-installation-access-token-for-a-github-app
"""

import logging
from typing import Final

from pydantic import AwareDatetime, BaseModel, ValidationError

from bindery.adapters.hosts.github.api import HEADERS
from bindery.adapters.http.budget import MB
from bindery.adapters.http.client import GuardedClient
from bindery.adapters.http.single_flight import SingleFlight
from bindery.ports.clock import Clock

logger = logging.getLogger("bindery")

RENEWED_SECONDS: Final = 300
"""A new token is requested this long before the current one expires."""
REFUSED_SECONDS: Final = 600
PERMIT_SECONDS: Final = 540
"""GitHub accepts a JWT of the App for ten minutes at most."""
SKEW_SECONDS: Final = 60


class _Token(BaseModel):
    token: str
    expires_at: AwareDatetime


class GitHubApp:
    """Source of tokens that are valid for at least some minutes. Sends one request an hour.

    app, installation: their ids. key: the App's private key, PEM. If the key is unreadable or the host refuses it, a warning is logged,
    and requests are sent without a token until the next attempt. Raises the guard's errors.
    """

    def __init__(self, client: GuardedClient, clock: Clock, url: str, *, app: str, installation: str, key: str) -> None:
        self._client = client
        self._clock = clock
        self._url = f"{url.rstrip('/')}/app/installations/{installation}/access_tokens"
        self._app = app
        self._key = key
        self._current: tuple[str, float] = ("", 0)
        self._flights = SingleFlight[str]()

    def __call__(self) -> str:
        token, until = self._current
        return token if self._clock.now() < until else self._flights.run("token", self._renew)

    def _renew(self) -> str:
        try:
            headers = HEADERS | {"Authorization": f"Bearer {self._jwt()}"}
        except ValueError:
            return self._without("its key cannot be read")
        with (
            self._client.exchange(self._url, max_bytes=MB),
            self._client.stream("POST", self._url, headers) as response,
        ):
            status, body = response.status, response.read(decode_content=False)
        try:
            answer = _Token.model_validate_json(body) if status == 201 else None
        except ValidationError:
            answer = None
        if answer is None:
            return self._without(f"the host answers with status {status}")
        self._current = answer.token, answer.expires_at.timestamp() - RENEWED_SECONDS
        return answer.token

    def _without(self, why: str) -> str:
        logger.warning("the GitHub App gets no token; requests to GitHub are sent without a token: %s", why)
        self._current = "", self._clock.now() + REFUSED_SECONDS
        return ""

    def _jwt(self) -> str:
        from joserfc import jwt
        from joserfc.jwk import RSAKey

        now = int(self._clock.now())
        claims = {"iss": self._app, "iat": now - SKEW_SECONDS, "exp": now + PERMIT_SECONDS}
        return jwt.encode({"alg": "RS256"}, claims, RSAKey.import_key(self._key))
