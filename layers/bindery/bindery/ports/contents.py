"""The contents port: a repository's files, laid out on disk for engines that run on this machine."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bindery.domain.repository import Repository


@dataclass(frozen=True)
class LaidOut:
    """notes: sentences for the visitor, such as that large files kept elsewhere (LFS) are missing."""

    notes: tuple[str, ...] = ()


def never() -> bool:
    """Nobody stops it."""
    return False


class Contents(Protocol):
    """Files of repositories at exactly one ref.

    lay_out: makes `folder` (absent before) hold exactly the files of the repository's ref: of git, submodules included, as a
        working copy; of a published record its files, or what its lone archive holds; or raises (RepositoryTooLarge,
        RepositoryUnusable, RefNotFound, RepositoryNotFound, HostUnreachable, HostLimited, ForbiddenAddress, ...)
        and leaves no folder. Nothing is ever written outside `folder`. seconds: the longest that it may take, if that is less
        than the adapter's own limit. stopped: asked again and again, at least every half second while a host is waited for;
        once it answers True, HostUnreachable ("it was stopped") is raised. A part that cannot be had (a submodule, a file kept in
        Git LFS, the history) is left out, and a note says why. exact: for builds, whose environment depends on history and tags:
        these are as the host has them now, and HostUnreachable or HostLimited is raised if the host does not answer.
    """

    def lay_out(
        self,
        repository: Repository,
        folder: Path,
        seconds: float | None = None,
        stopped: Callable[[], bool] = never,
        *,
        exact: bool = False,
    ) -> LaidOut: ...
