"""The contents port: writes a repository's files to disk for build engines that run on this machine."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bindery.domain.repository import Repository


@dataclass(frozen=True)
class Checkout:
    """Result of `checkout`. notes: sentences for the visitor, such as that large files stored in Git LFS are missing."""

    notes: tuple[str, ...] = ()


def never() -> bool:
    """Return False: the call is never stopped."""
    return False


class Contents(Protocol):
    """Source of the files of repositories, each at exactly one ref.

    checkout: creates `folder`, which must not exist before, with exactly the files of the repository's ref. For git this is a working
        copy with submodules. For a published record these are its files, or the content of its only archive. On an error it raises
        (RepositoryTooLarge, RepositoryUnusable, RefNotFound, RepositoryNotFound, HostUnreachable, HostLimited, ForbiddenAddress, ...)
        and leaves no folder. It never writes outside `folder`.
        A part that cannot be fetched (a submodule, a file in Git LFS, the history) is left out, and a note gives the reason.
    seconds: the timeout, if it is shorter than the adapter's own limit.
    stopped: is called at least every half second while the adapter waits for a host. If it returns True, HostUnreachable
        ("it was stopped") is raised.
    exact: for builds, because their environment depends on history and tags. History and tags are as the host has them now;
        HostUnreachable or HostLimited is raised if the host does not answer.
    """

    def checkout(
        self,
        repository: Repository,
        folder: Path,
        seconds: float | None = None,
        stopped: Callable[[], bool] = never,
        *,
        exact: bool = False,
    ) -> Checkout: ...
