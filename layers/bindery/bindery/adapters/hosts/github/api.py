"""Client for GitHub's REST API and its credentials, for repositories and for gists."""

import re
from typing import Final

from bindery.adapters.hosts.host_parts import HostParts
from bindery.adapters.hosts.rest_api import HostApi, Token
from bindery.adapters.http.client import Answer, GuardedClient
from bindery.ports.clock import Clock

OWNER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
HEADERS: Final = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
NO_SUCH_OBJECT: Final = 422
NO_COMMITS: Final = 409


def github_api(client: GuardedClient, clock: Clock, url: str, token: str | Token) -> HostApi:
    """Return a client for the API at this address."""
    return HostApi(client, clock, url, token, headers=HEADERS, absent=_absent, empty=_empty)


def github_token(parts: HostParts) -> str | Token:
    """Return the token, or the function that returns the current token of a GitHub App."""
    settings = parts.settings
    if not settings.github_app_id:
        return settings.github_token.get_secret_value()
    from bindery.adapters.hosts.github.app_tokens import GitHubApp

    return GitHubApp(
        parts.client,
        parts.clock,
        settings.github_api_url,
        app=settings.github_app_id,
        installation=settings.github_app_installation,
        key=settings.github_app_key.get_secret_value(),
    )


def _absent(answer: Answer) -> bool:
    return answer.status == NO_SUCH_OBJECT


def _empty(answer: Answer) -> bool:
    return answer.status == NO_COMMITS
