"""Private repositories: which of them visitors may launch, with the host's token."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from bindery.adapters.repositories.host_api import HostApi
from bindery.domain.errors import RepositoryNotFound


@runtime_checkable
class HostWithPrivate(Protocol):
    """A provider whose token lets git have what is private."""

    def authorization(self) -> str:
        """The header's value for git's requests to the repository's own host; empty: there is no token."""


@dataclass(frozen=True)
class Privacy:
    """Whoever cannot launch a private repository hears of it what everybody hears: that there is none.

    api: with its token, without which the host shows nothing that is private. allowed: `provider/name`, or `provider/owner/*`
    for all that is below, in any case. is_private: by the host's answer on a repository.
    """

    api: HostApi
    provider: str
    allowed: Sequence[str]
    is_private: Callable[[bytes], bool]

    def checked(self, name: str, path: str, page: str) -> dict[str, str]:
        """What to remember of the repository: whether it is private. One question, where there is a token.

        name, page: the repository's. path: where the API tells of it. Raises RepositoryNotFound for one that nobody is to see.
        """
        if not self.api.has_token():
            return {}
        body = self.api.get(path, page).body
        if body is not None and not self.is_private(body):
            return {}
        if body is None:
            raise RepositoryNotFound(url=page)
        self._check(name, page)
        return {"private": "yes"}

    def known(self, facts: Mapping[str, str], name: str, page: str) -> bool:
        """Whether it is private by what was kept of it. RepositoryNotFound if it was named then, and is not now."""
        if "private" in facts:
            self._check(name, page)
        return "private" in facts

    def _check(self, name: str, page: str) -> None:
        if not self._may_be_launched(name):
            raise RepositoryNotFound(url=page)

    def _may_be_launched(self, name: str) -> bool:
        wanted = f"{self.provider}/{name}".lower()
        return any(wanted == each or (each.endswith("/*") and wanted.startswith(each[:-1])) for each in self._allowed())

    def _allowed(self) -> Sequence[str]:
        return [each.lower() for each in self.allowed]
