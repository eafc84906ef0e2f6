"""The contents port: a repository's files, laid out on disk for engines that run on this machine."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bindery.domain.repository import Repository


@dataclass(frozen=True)
class LaidOut:
    """notes: sentences for the visitor, such as that large files kept elsewhere (LFS) are missing."""

    notes: tuple[str, ...] = ()


class Contents(Protocol):
    """Files of repositories at exactly one ref.

    lay_out: makes `folder` (absent before) hold exactly the files of the repository's ref, submodules included, as a git
        working copy; or raises (RepositoryTooLarge, RepositoryUnusable, RefNotFound, HostUnreachable, ForbiddenAddress, ...)
        and leaves no folder. Nothing is ever written outside `folder`.
    """

    def lay_out(self, repository: Repository, folder: Path) -> LaidOut: ...
