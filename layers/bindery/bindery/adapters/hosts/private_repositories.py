"""Private repositories that visitors may launch with the host's token."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from bindery.adapters.hosts.ref_cache import Facts, KeptRefs
from bindery.adapters.hosts.rest_api import ApiAnswer, HostApi
from bindery.domain.errors import RepositoryNotFound

PRIVATE: Final = {"private": "yes"}
"""Fact that marks a private repository in the cache."""


@runtime_checkable
class HostWithPrivate(Protocol):
    """Provider with a token that lets git read private repositories."""

    def authorization(self) -> str:
        """Return the Authorization header for git's requests to the repository's own host; empty without a token."""


@dataclass(frozen=True)
class Seen:
    """Repository as the host's API describes it. name: its current name."""

    name: str
    private: bool


@dataclass(frozen=True)
class Privacy:
    """Check of private repositories. A hidden one raises the same error as a repository that does not exist.

    api: with its token; without a token, the host shows no private repositories. provider: its id. url: of its pages, without a trailing
    slash. allowed: `provider/name`, or `provider/owner/*` for all repositories below, in any case. about: returns the API path of a
    repository. read: reads a response about a repository.
    """

    api: HostApi
    refs: KeptRefs
    provider: str
    url: str
    allowed: Sequence[str]
    about: Callable[[str], str]
    read: Callable[[bytes], Seen]

    def facts(self, name: str, ref: str, path: str, read: Callable[[bytes], dict[str, str]]) -> Facts | None:
        """Return the facts of `KeptRefs.facts`, with `private` among them for a private repository.

        path: API path of the ref. Raises RepositoryNotFound for a repository that visitors may not see.

        If the API may have a token, the repository itself is requested first, each time and regardless of the cache: it may have become
        private. The later responses and their timing must not reveal that a hidden repository exists. Without a token, the host itself
        hides it.
        """
        may_be_shown = self.api.may_have_token or self._is_allowed(name)
        private = PRIVATE if may_be_shown and self._is_private(name) else {}
        facts = self.refs.facts(
            name.lower(),
            ref,
            lambda etag: self._request(name, path, etag),
            lambda body: {**read(body), **private},
            lambda cached: bool(private) or "private" not in cached,
        )
        return {**facts, **private} if facts else facts

    def _is_private(self, name: str) -> bool:
        """Return True for a private repository. Raises RepositoryNotFound for one that visitors may not see.

        The request carries the last ETag. A repository that visitors may not see is not cached.
        """

        def is_visible(facts: Facts) -> bool:
            return "private" not in facts or (self._is_allowed(name) and self._is_allowed(facts["name"]))

        def read_facts(body: bytes) -> dict[str, str]:
            repository = self.read(body)
            facts = {"name": repository.name, **(PRIVATE if repository.private else {})}
            if not is_visible(facts):  # not in `allowed`, or moved to a name that is not
                raise RepositoryNotFound(url=self._page(name))
            return facts

        about = self.about(name)
        cached = self.refs.facts(
            name.lower(), "", lambda etag: self._request(name, about, etag), read_facts, is_visible
        )
        if cached is None:
            raise RepositoryNotFound(url=self._page(name))
        return "private" in cached

    def _page(self, name: str) -> str:
        return f"{self.url}/{name}"

    def _request(self, name: str, path: str, etag: str = "") -> ApiAnswer:
        return self.api.get(path, self._page(name), etag=etag)

    def _is_allowed(self, name: str) -> bool:
        full_name = f"{self.provider}/{name}".lower()
        names = [each.lower() for each in self.allowed]
        return any(full_name == each or (each.endswith("/*") and full_name.startswith(each[:-1])) for each in names)
