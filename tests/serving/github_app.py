"""A GitHub API that knows an App, and checks the App's signatures by GitHub's documentation."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import RSAKey

from bindery.ports.clock import Clock
from tests.serving.github_api import GitHubServer
from tests.serving.host_api import Reply

APP, INSTALLATION = "42", "7"
KEY = RSAKey.generate_key(2048)
PEM = KEY.as_pem(private=True).decode()


class AppServer(GitHubServer):
    """A server that gives the installation tokens of one hour each. permits: the claims that the App signed."""

    def __init__(self, clock: Clock, repositories: Mapping[str, Path] | None = None) -> None:
        super().__init__(repositories)
        self.clock = clock
        self.permits: list[dict[str, object]] = []

    def post(self, path: str, headers: Mapping[str, str]) -> Reply:
        signed = headers["authorization"].removeprefix("Bearer ")
        claims = jwt.decode(signed, RSAKey.import_key(KEY.as_pem(private=False)), algorithms=["RS256"]).claims
        now = self.clock.now()
        timely = int(claims["iat"]) <= now < int(claims["exp"]) <= int(claims["iat"]) + 600
        if path != f"/app/installations/{INSTALLATION}/access_tokens" or claims["iss"] != APP or not timely:
            return Reply(401, {"message": "A JSON web token could not be decoded"})
        self.permits.append(claims)
        token = f"ghs_{len(self.permits)}"
        self.tokens.add(token)
        ends = datetime.fromtimestamp(now + 3600, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Reply(201, {"token": token, "expires_at": ends, "permissions": {}})
