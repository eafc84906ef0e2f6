"""The contents port: writes a repository's files to disk, for builds and for sessions of one machine."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bindery.domain.repository import Repository


@dataclass(frozen=True)
class Checkout:
    """Result of `checkout`. notes: sentences for the visitor, for example about files of Git LFS that are missing."""

    notes: tuple[str, ...] = ()


def never_stopped() -> bool:
    """Return False: the default of `stopped`, for calls that are not stopped."""
    return False


class Contents(Protocol):
    """Source of the files of repositories, each at exactly one ref.

    checkout: creates `folder`, which must not exist before, with the files of the repository's ref. For git this is a working copy
        with submodules. For a published record these are its files, or the content of its only archive. On an error it raises
        (RepositoryTooLarge, RepositoryUnusable, RefNotFound, RepositoryNotFound, HostUnreachable, HostLimited, ForbiddenAddress, ...)
        and leaves no folder. Apart from the adapter's caches, it writes nothing outside `folder`.
        A part that cannot be fetched (a submodule, a file in Git LFS, the history) is left out, and a note gives the reason.
    seconds: the timeout, if it is shorter than the adapter's own limit; None: only that limit applies.
    stopped: is called at least every half second while the adapter waits for a host. If it returns True, HostUnreachable
        ("it was stopped") is raised.
    exact: True for builds, because their environment may depend on history and tags. Then history and tags are fetched as the host has
        them now; HostUnreachable or HostLimited is raised if the host does not answer.
    """

    def checkout(
        self,
        repository: Repository,
        folder: Path,
        seconds: float | None = None,
        stopped: Callable[[], bool] = never_stopped,
        *,
        exact: bool = False,
    ) -> Checkout: ...
