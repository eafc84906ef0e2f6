"""Private repositories: which of them visitors may launch, with the host's token."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from bindery.adapters.repositories.host_api import ApiAnswer, HostApi
from bindery.adapters.repositories.kept_refs import Facts, KeptRefs
from bindery.domain.errors import RepositoryNotFound

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

    api: with its token, without which the host shows nothing that is private. provider: its id. allowed: `provider/name`, or
    `provider/owner/*` for all that is below, in any case. about, page: where the API, and people, find a repository. read: what
    an answer of the API's says.
    """

    api: HostApi
    refs: KeptRefs
    provider: str
    allowed: Sequence[str]
    about: Callable[[str], str]
    page: Callable[[str], str]
    read: Callable[[bytes], Seen]

    def facts(self, name: str, ref: str, path: str, read: Callable[[bytes], dict[str, str]]) -> Facts | None:
        """As `KeptRefs.facts`, with `private` among them if it is. path: where the API tells of the ref.

        Raises RepositoryNotFound for one that nobody is to see.

        One that is not named has to be public whenever its answer on a ref is new, and is asked for first: what is said next, and
        how soon, must not tell that it is there. One that is named is looked at each time, which the host does not count.
        """
        if self._is_named(name):
            private = self._is_private(name)
            found = self.refs.facts(name.lower(), ref, lambda etag: self._asked(name, path, etag), read)
            return {**found, **PRIVATE} if found and private else found

        def looked(etag: str) -> ApiAnswer:
            if not etag:
                self._check_public(name)
            answer = self._asked(name, path, etag)
            if etag and answer.body is not None:
                self._check_public(name)
            return answer

        return self.refs.facts(
            name.lower(), ref, looked, lambda body: {**read(body), "public": "yes"}, lambda kept: "public" in kept
        )

    def _check_public(self, name: str) -> None:
        """One question, where there may be a token. Without one, nothing that is private is ever answered."""
        if self.api.may_have_token:
            body = self._asked(name, self.about(name)).body
            if body is None or self.read(body).private:
                raise RepositoryNotFound(url=self.page(name))

    def _is_private(self, name: str) -> bool:
        """Of one that is named. Raises RepositoryNotFound."""
        about = self.about(name)
        kept = self.refs.facts(name.lower(), "", lambda etag: self._asked(name, about, etag), self._told)
        if kept is None or ("private" in kept and not self._is_named(kept["name"])):  # it went elsewhere
            raise RepositoryNotFound(url=self.page(name))
        return "private" in kept

    def _asked(self, name: str, path: str, etag: str = "") -> ApiAnswer:
        return self.api.get(path, self.page(name), etag=etag)

    def _told(self, body: bytes) -> dict[str, str]:
        seen = self.read(body)
        return {"name": seen.name, **(PRIVATE if seen.private else {})}

    def _is_named(self, name: str) -> bool:
        wanted = f"{self.provider}/{name}".lower()
        names = [each.lower() for each in self.allowed]
        return any(wanted == each or (each.endswith("/*") and wanted.startswith(each[:-1])) for each in names)
