"""The contents port: working copies laid out from packs that were fetched once."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from uuid import uuid4

from bindery.adapters.repositories.addresses import parsed
from bindery.adapters.repositories.checkout import Read, Room, Written, shown, write_tree
from bindery.adapters.repositories.errand import Errand
from bindery.adapters.repositories.exchange import MB, in_words
from bindery.adapters.repositories.guard import GuardedClient
from bindery.adapters.repositories.object_cache import PACK, ObjectCache
from bindery.adapters.repositories.packed_objects import objects_in
from bindery.adapters.repositories.packs import BrokenPack, PackLimits, TooMuch, tree_of
from bindery.adapters.repositories.submodules import check_submodule, submodule_urls
from bindery.adapters.repositories.wire import GitWire, Refused
from bindery.adapters.repositories.working_copy import write_git_folder
from bindery.domain.errors import HostUnreachable, RefNotFound, RepositoryTooLarge, RepositoryUnusable
from bindery.domain.repository import Repository
from bindery.ports.clock import Clock
from bindery.ports.contents import LaidOut, never

DEEPEST, MOST_SUBMODULES, MOST_GITMODULES = 3, 50, MB


@dataclass
class _Errand(Errand):
    """The same for a commit with all its submodules. fetched: something was."""

    room: Room
    fetched: bool = False
    submodules: int = 0
    pointers: list[bytes] = field(default_factory=list)
    unnamed: list[bytes] = field(default_factory=list)


@dataclass(frozen=True)
class _Source:
    """A commit, and what its host has to be shown before it gives it."""

    url: str
    commit: str
    authorization: str = field(default="", repr=False)

    @property
    def kept_as(self) -> str:
        """Apart from what is everybody's: nobody else's submodule finds it by its address."""
        return f"private {self.url}" if self.authorization else self.url


class GitContents:
    """Working copies of git repositories.

    authorization: what a private repository's own host is shown, and nobody else: not where it sends us on to, nor the hosts of
    submodules, which anybody may name.
    folder: where fetched packs are kept; evict bounds it. max_bytes, max_files: of one working copy, submodules included.
    max_file_bytes: of a single file, which passes through memory. seconds: the longest that one working copy
    may take, submodules included.
    cache_bytes: how much of what was fetched is kept; the least recently used goes first.
    """

    def __init__(
        self,
        folder: Path,
        client: GuardedClient,
        clock: Clock,
        *,
        authorization: Callable[[Repository], str] = lambda _: "",
        max_bytes: int = 2_000 * MB,
        max_files: int = 200_000,
        max_file_bytes: int = 100 * MB,
        seconds: float = 300,
        cache_bytes: int = 5_000 * MB,
    ) -> None:
        self._client = client
        self._authorization = authorization
        self._wire = GitWire(client, clock)
        self._cache = ObjectCache(folder)
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._limits = PackLimits(max_files * 2, max_file_bytes, max_bytes * 2)
        self._seconds = seconds
        self._cache_bytes = cache_bytes

    def lay_out(
        self, repository: Repository, folder: Path, seconds: float | None = None, stopped: Callable[[], bool] = never
    ) -> LaidOut:
        most = self._seconds if seconds is None else min(self._seconds, seconds)
        room = Room(repository.repo_url, self._max_bytes, self._max_files)
        source = _Source(repository.clone_url, repository.ref, self._authorization(repository))
        errand = _Errand(parsed(source.url).host, most, stopped, time.monotonic() + most, room)
        aside = folder.with_name(f".{folder.name}-{uuid4().hex[:8]}")
        aside.mkdir(parents=True)
        try:
            self._fill(source, aside, errand, depth=0)
            aside.rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
            if errand.fetched:
                self.evict(self._cache_bytes)
        return LaidOut(_notes(errand))

    def recover(self) -> None:
        """At the start, before anything is fetched: removes what a crash left of transfers."""
        self._cache.recover()

    def evict(self, max_bytes: int) -> int:
        """Forgets the least recently used packs until at most `max_bytes` are kept; answers the bytes kept."""
        return self._cache.evict(max_bytes)

    def _fill(self, source: _Source, folder: Path, errand: _Errand, depth: int) -> None:
        try:
            written, modules = self._lay(source, folder, errand)
        except BrokenPack:  # spoiled on disk, perhaps: once more from the host
            _empty(folder)
            try:
                written, modules = self._lay(source, folder, errand)
            except BrokenPack as error:
                raise RepositoryUnusable(why="its host sent objects that do not fit together") from error
        errand.pointers += written.pointers
        for path, wanted in written.submodules.items():
            if path in modules:
                _count_submodule(errand, depth + 1)
                check_submodule(path, modules[path])
                self._fill(_Source(modules[path], wanted.decode()), folder / os.fsdecode(path), errand, depth + 1)
            else:  # git leaves such a folder empty, too
                errand.unnamed.append(path)

    def _lay(self, source: _Source, folder: Path, errand: _Errand) -> tuple[Written, dict[bytes, str]]:
        before = errand.room.size, errand.room.files
        with self._fetched(source, errand) as place:
            try:
                with (
                    self._cache.memory_for(place, errand.check),
                    objects_in(place / PACK, errand.check) as read,
                    _opened(folder) as top,
                ):
                    written = write_tree(read, tree_of(read(b"commit", source.commit.encode())), top, errand.room)
                    modules = _submodules_of(read, written, source.url)
            except BrokenPack:
                self._cache.drop(place)
                errand.room.size, errand.room.files = before
                raise
            write_git_folder(folder, source.url, source.commit, place, written)
        return written, modules

    @contextmanager
    def _fetched(self, source: _Source, errand: _Errand) -> Iterator[Path]:
        url, commit = source.url, source.commit
        with ExitStack() as stack:
            try:
                fetch = partial(self._fetch, source, errand)
                entry = self._cache.entry(source.kept_as, commit, fetch, self._limits, errand.check)
                place = stack.enter_context(entry)
            except TooMuch:
                raise RepositoryTooLarge(url=url, limit=in_words(self._max_bytes)) from None
            except Refused:
                raise RefNotFound(spec=url, ref=commit) from None
            except BrokenPack as error:
                raise HostUnreachable(host=parsed(url).host, why="what it sent was cut short or broken") from error
            yield place

    def _fetch(self, source: _Source, errand: _Errand, pack: Path) -> None:
        errand.fetched = True
        exchange = self._client.exchange(
            source.url, seconds=errand.left(), max_bytes=self._max_bytes, stopped=errand.stopped, download=True
        )
        with exchange, pack.open("xb") as file:
            remote = self._wire.discover(source.url, source.authorization)
            with self._wire.pack(remote, source.commit, depth=1) as pieces:
                file.writelines(pieces)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _count_submodule(errand: _Errand, depth: int) -> None:
    errand.submodules += 1
    if depth > DEEPEST or errand.submodules > MOST_SUBMODULES:
        raise RepositoryTooLarge(url=errand.room.url, limit=f"{MOST_SUBMODULES} submodules, {DEEPEST} deep")


def _submodules_of(read: Read, written: Written, url: str) -> dict[bytes, str]:
    listed = written.index.get(b".gitmodules")
    if not written.submodules or listed is None or listed.mode & 0o170000 != 0o100000:
        return {}
    if listed.size > MOST_GITMODULES:
        raise RepositoryUnusable(why=f"its .gitmodules is larger than {in_words(MOST_GITMODULES)}")
    return submodule_urls(read(b"blob", listed.sha), url)


def _empty(folder: Path) -> None:
    for inner in folder.iterdir():
        if inner.is_dir() and not inner.is_symlink():
            shutil.rmtree(inner)
        else:
            inner.unlink()


def _notes(errand: _Errand) -> tuple[str, ...]:
    notes: list[str] = []
    if count := len(errand.pointers):
        which = "file is" if count == 1 else "files are"
        notes.append(
            f"{count} {which} kept in Git LFS and missing here: only pointers, such as {shown(errand.pointers[0])}."
        )
    if errand.unnamed:
        notes.append(f"The submodule {shown(errand.unnamed[0])} is not named in .gitmodules and stays empty.")
    return tuple(notes)
