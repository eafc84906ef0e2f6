"""Private repositories: which of them visitors may launch, with the host's token."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from bindery.adapters.hosts.ref_cache import Facts, KeptRefs
from bindery.adapters.hosts.rest_api import ApiAnswer, HostApi
from bindery.domain.errors import RepositoryNotFound
from bindery.ports.clock import Clock
from bindery.ports.table import Table

PRIVATE: Final = {"private": "yes"}
"""The fact, beside what else is kept."""


@runtime_checkable
class HostWithPrivate(Protocol):
    """A provider whose token lets git have what is private."""

    def authorization(self) -> str:
        """The header's value for git's requests to the repository's own host; empty: there is no token."""


@dataclass(frozen=True)
class Seen:
    """What a host says of a repository that it shows us. name: as it is called now."""

    name: str
    private: bool


@dataclass(frozen=True)
class Privacy:
    """Whoever cannot launch a private repository hears of it what everybody hears: that there is none.

    api: with its token, without which the host shows nothing that is private. provider: its id. url: of its pages, without a
    trailing slash. allowed: `provider/name`, or `provider/owner/*` for all that is below, in any case. about: where the API tells
    of a repository. read: what an answer of the API's says.
    """

    api: HostApi
    refs: KeptRefs
    provider: str
    url: str
    allowed: Sequence[str]
    about: Callable[[str], str]
    read: Callable[[bytes], Seen]

    def facts(self, name: str, ref: str, path: str, read: Callable[[bytes], dict[str, str]]) -> Facts | None:
        """As `KeptRefs.facts`, with `private` among them if it is. path: where the API tells of the ref.

        Raises RepositoryNotFound for one that nobody is to see.

        Where there may be a token, the repository is asked for itself first, each time, whatever is kept: it may have been closed
        since; and what is said next, and how soon, must not tell that it is there. Without one, the host itself tells nothing of it.
        """
        looked = self.api.may_have_token or self._is_named(name)
        private = PRIVATE if looked and self._is_private(name) else {}
        found = self.refs.facts(
            name.lower(),
            ref,
            lambda etag: self._asked(name, path, etag),
            lambda body: {**read(body), **private},
            lambda kept: bool(private) or "private" not in kept,
        )
        return {**found, **private} if found else found

    def _is_private(self, name: str) -> bool:
        """By the ETag of the last look. Raises RepositoryNotFound for one that nobody is to see, of which nothing is kept."""

        def may_be_seen(facts: Facts) -> bool:
            return "private" not in facts or (self._is_named(name) and self._is_named(facts["name"]))

        def told(body: bytes) -> dict[str, str]:
            seen = self.read(body)
            facts = {"name": seen.name, **(PRIVATE if seen.private else {})}
            if not may_be_seen(facts):  # nobody named it, or it went to somebody who is not named
                raise RepositoryNotFound(url=self._page(name))
            return facts

        about = self.about(name)
        kept = self.refs.facts(name.lower(), "", lambda etag: self._asked(name, about, etag), told, may_be_seen)
        if kept is None:
            raise RepositoryNotFound(url=self._page(name))
        return "private" in kept

    def _page(self, name: str) -> str:
        return f"{self.url}/{name}"

    def _asked(self, name: str, path: str, etag: str = "") -> ApiAnswer:
        return self.api.get(path, self._page(name), etag=etag)

    def _is_named(self, name: str) -> bool:
        wanted = f"{self.provider}/{name}".lower()
        names = [each.lower() for each in self.allowed]
        return any(wanted == each or (each.endswith("/*") and wanted.startswith(each[:-1])) for each in names)


def privacy(
    api: HostApi,
    table: Table,
    clock: Clock,
    *,
    provider: str,
    url: str,
    allowed: Sequence[str],
    about: Callable[[str], str],
    read: Callable[[bytes], Seen],
) -> Privacy:
    """The same for what a provider is made of; its refs are kept in the table."""
    return Privacy(api, KeptRefs(table, clock, f"{provider}#{api.url}"), provider, url, allowed, about, read)
