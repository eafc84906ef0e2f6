"""One working copy during its creation, including its submodules: its source, its state and its time limit."""

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from bindery.adapters.git.protocol import Remote
from bindery.adapters.git.refused_apis import RefusedApis
from bindery.adapters.http.budget import TimeLimit
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import RepositoryTooLarge
from bindery_builder.contents.submodules import DEEPEST, MOST_NOTES, MOST_SUBMODULES
from bindery_builder.contents.work_tree import Room, shown

State = tuple[int, ...]


@dataclass(frozen=True)
class Source:
    """Commit, its clone address, and the authorization that its host requires: a header's value, or empty."""

    url: str
    commit: str
    authorization: str = field(default="", repr=False)

    @property
    def cache_name(self) -> str:
        """Return the name in the cache.

        Private content has a separate name, so that a submodule of another repository with the same address does not find it.
        """
        return f"private {self.url}" if self.authorization else self.url


@dataclass
class Copy:
    """Counts and notes of one working copy.

    ref: as in the link. exact: the tags must be those that the host has now. remotes: servers that have answered the first request,
    by clone address. fetched: True if data was written to the cache. downloaded: bytes of packs that came over the network,
    including those of failed fetches. submodules: how many were started. pointers: paths of Git LFS pointers that stay, each with
    the reason. unnamed: paths of submodules without an entry in `.gitmodules`. missing: a note for each submodule that could not be
    fetched. notes: other sentences for the visitor.
    """

    room: Room
    ref: str = "HEAD"
    exact: bool = False
    remotes: dict[str, Remote] = field(default_factory=dict)
    fetched: bool = False
    downloaded: int = 0
    submodules: int = 0
    pointers: list[tuple[bytes, str]] = field(default_factory=list)
    unnamed: list[bytes] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def count_submodule(self, depth: int) -> None:
        """Count a submodule before it is fetched. Raises RepositoryTooLarge."""
        self.submodules += 1
        if depth > DEEPEST or self.submodules > MOST_SUBMODULES:
            raise RepositoryTooLarge(url=self.room.url, limit=f"{MOST_SUBMODULES} submodules, {DEEPEST} deep")

    def state(self) -> State:
        """Return the state for `restore`."""
        return (self.room.size, self.room.files, *(len(each) for each in self._lists))

    def restore(self, state: State) -> None:
        """Discard the notes and room of files laid out since `state`. Downloads and started submodules still count."""
        self.room.size, self.room.files = state[:2]
        for each, length in zip(self._lists, state[2:], strict=True):
            del each[length:]

    @property
    def _lists(self) -> tuple[list[tuple[bytes, str]] | list[bytes] | list[str], ...]:
        return self.pointers, self.unnamed, self.missing, self.notes

    def all_notes(self) -> tuple[str, ...]:
        """Return the notes for the visitor, a limited number of them."""
        notes = self.missing[:MOST_NOTES]
        if more := len(self.missing) - len(notes):
            notes.append(f"{more} more submodules are missing.")
        notes += self.notes[:MOST_NOTES]
        if count := len(self.pointers):
            path, reason = self.pointers[0]
            which = "file is" if count == 1 else "files are"
            notes.append(
                f"{count} {which} kept in Git LFS and missing here: only pointers, such as {shown(path)} ({reason})."
            )
        if self.unnamed:
            notes.append(f"The submodule {shown(self.unnamed[0])} is not named in .gitmodules and stays empty.")
        return tuple(notes)


@dataclass
class CopyTask(TimeLimit):
    """Task that makes a working copy, or one of its submodules in a share of the time."""

    copy: Copy

    def download(
        self, client: GuardedClient, url: str, max_bytes: int, refused: RefusedApis
    ) -> AbstractContextManager[None]:
        """Return the exchange of a download in the remaining time. refused: addresses that redirects must not lead to."""
        return client.exchange(
            url,
            seconds=self.remaining_seconds(),
            max_bytes=max_bytes,
            stopped=self.stopped,
            download=True,
            check_redirect=refused.check,
        )

    def share(self, waiting: int) -> "CopyTask":
        """Return a task for the next of `waiting` submodules.

        The remaining time is split equally between the submodules and the work that follows them.
        """
        now = time.monotonic()
        seconds = max(self.deadline - now, 0) / (waiting + 1)
        return replace(self, seconds=seconds, deadline=now + seconds)

    def bounded(self, most: float) -> "CopyTask":
        """Return a task for an optional step: at most `most` seconds, and at most a quarter of the remaining time."""
        now = time.monotonic()
        seconds = min(max(self.deadline - now, 0) / 4, most)
        return replace(self, seconds=seconds, deadline=now + seconds)
