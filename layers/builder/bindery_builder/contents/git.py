"""Contents port for git: working copies laid out from packs that are fetched once."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from uuid import uuid4

from bindery.adapters.git.packs import BrokenPack, PackLimits, TooMuch, tree_of, unpacked
from bindery.adapters.git.protocol import GitWire, Refused
from bindery.adapters.git.refused_apis import RefusedApis
from bindery.adapters.git.tree import NotListed, listing
from bindery.adapters.hosts.git import TREE_LIMIT
from bindery.adapters.http.address_rules import parsed
from bindery.adapters.http.budget import MB, MIB, readable_size
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import (
    BinderyError,
    FileTooLarge,
    HostUnreachable,
    RefNotFound,
    RepositoryTooLarge,
    RepositoryUnusable,
)
from bindery.domain.repository import Repository
from bindery.ports.clock import Clock
from bindery.ports.contents import Checkout, never_stopped
from bindery_builder.contents.copying import Copy, CopyTask, Source
from bindery_builder.contents.git_folder import write_git_folder, write_index
from bindery_builder.contents.history import Histories, History
from bindery_builder.contents.lfs import LargeFiles
from bindery_builder.contents.pack_cache import PACK, ObjectCache, objects_in
from bindery_builder.contents.submodules import Submodule, note_of, read_gitmodules, web_address
from bindery_builder.contents.work_tree import Read, Room, Written, shown, write_tree

MOST_GITMODULES = MB
LISTING_SECONDS = 20


@dataclass(frozen=True)
class _Spot:
    """Place of a repository in the working copy.

    path: below the top, empty for the top itself. depth: the number of submodules above it.
    """

    folder: Path
    path: bytes = b""
    depth: int = 0

    def inner(self, path: bytes) -> "_Spot":
        """Return the place of the submodule at `path` in this repository."""
        return _Spot(self.folder / os.fsdecode(path), self.path + b"/" + path if self.path else path, self.depth + 1)


class GitContents:
    """Working copies of git repositories.

    authorization: the credential for a private repository's own host. It is not sent to the targets of redirects or to the hosts of
    submodules, since any user may name those. refused: addresses of APIs. Submodules, files of Git LFS and redirects must not lead
    to them. folder: where fetched packs are kept; `evict` limits it. max_bytes, max_files: limits of one working copy, including
    submodules. max_file_bytes: the limit of a single file, which is held in memory; the default is GitHub's own. seconds: the time
    limit of one working copy, including submodules. cache_bytes: how many fetched bytes are kept; the least recently used packs are
    removed first.
    """

    def __init__(
        self,
        folder: Path,
        client: GuardedClient,
        clock: Clock,
        *,
        authorization: Callable[[Repository], str] = lambda _: "",
        refused: RefusedApis | None = None,
        max_bytes: int = 2_000 * MB,
        max_files: int = 200_000,
        max_file_bytes: int = 100 * MIB,
        seconds: float = 300,
        cache_bytes: int = 5_000 * MB,
    ) -> None:
        self._client = client
        self._authorization = authorization
        self._refused = refused or RefusedApis()
        self._wire = GitWire(client, clock)
        self._cache = ObjectCache(folder)
        self._large_files = LargeFiles(client, clock, self._cache, self._refused)
        self._histories = Histories(client, self._wire, self._cache, self._refused)
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._limits = PackLimits(max_files * 2, max_file_bytes, max_bytes * 2)
        self._seconds = seconds
        self._cache_bytes = cache_bytes

    def checkout(
        self,
        repository: Repository,
        folder: Path,
        seconds: float | None = None,
        stopped: Callable[[], bool] = never_stopped,
        *,
        exact: bool = False,
    ) -> Checkout:
        most = self._seconds if seconds is None else min(self._seconds, seconds)
        room = Room(repository.repo_url, self._max_bytes, self._max_files)
        copy = Copy(room, repository.link_ref, exact)
        source = Source(repository.clone_url, repository.ref, self._authorization(repository))
        task = CopyTask(parsed(source.url).host, most, stopped, time.monotonic() + most, copy)
        aside = folder.with_name(f".{folder.name}-{uuid4().hex[:8]}")
        aside.mkdir(parents=True)
        try:
            self._fill(source, _Spot(aside), task)
            aside.rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
            if copy.fetched:
                self.evict(self._cache_bytes)
        return Checkout(copy.all_notes())

    def recover(self) -> None:
        """Remove the transfers that a crash left unfinished. Called at the start, before the first fetch."""
        self._cache.recover()

    def evict(self, max_bytes: int) -> int:
        """Remove the least recently used packs until at most `max_bytes` are left. Return the bytes left."""
        return self._cache.evict(max_bytes)

    def _fill(self, source: Source, spot: _Spot, task: CopyTask) -> None:
        """Lay out a commit with its submodules."""
        try:
            written, modules = self._lay(source, spot, task)
        except BrokenPack:  # possibly damaged on disk: fetch it again
            _empty(spot.folder)
            try:
                written, modules = self._lay(source, spot, task)
            except BrokenPack as error:
                raise RepositoryUnusable(why="its host sent objects that do not fit together") from error
        for done, (path, commit) in enumerate(written.submodules.items()):
            inner, module = spot.inner(path), modules.get(path)
            if module is None:  # git leaves this folder empty, too
                task.copy.unnamed.append(inner.path)
            elif not module.fetched:
                task.copy.notes.append(f"The submodule {shown(inner.path)} is skipped: .gitmodules has update = none.")
            else:
                share = task.share(len(written.submodules) - done)
                self._submodule(module, Source(source.url, commit.decode()), inner, share)
        pointers = self._large_files.fill(source, spot.folder, written, task)
        task.copy.pointers += [(spot.inner(path).path, reason) for path, reason in pointers]
        write_index(spot.folder, written, large_files=len(pointers) < len(written.pointers))

    def _submodule(self, module: Submodule, source: Source, spot: _Spot, task: CopyTask) -> None:
        """Lay out a submodule. If it cannot be fetched, leave its folder empty and add a note: the launch continues.

        source: the parent's address and the submodule's commit. The parent's authorization is not sent for submodules.
        """
        before = task.copy.state()
        try:
            task.copy.count_submodule(spot.depth)
            url = web_address(module.url, source.url)
            self._refused.check(url)
            self._fill(Source(url, source.commit), spot, replace(task, host=parsed(url).host))
        except BinderyError as error:
            if task.stopped():
                raise
            _empty(spot.folder)
            task.copy.restore(before)
            task.copy.missing.append(note_of(spot.path, module.url, error))

    def _lay(self, source: Source, spot: _Spot, task: CopyTask) -> tuple[Written, dict[bytes, Submodule]]:
        before, folder = task.copy.state(), spot.folder
        with self._fetched(source, task) as place:
            try:
                with (
                    self._cache.memory_for(place, task.check),
                    objects_in(place / PACK, task.check) as read,
                    _opened(folder) as top,
                ):
                    written = write_tree(read, tree_of(read(b"commit", source.commit.encode())), top, task.copy.room)
                    modules = _submodules_of(read, written, task)
            except BrokenPack:
                self._cache.drop(place)
                task.copy.restore(before)
                raise
            with self._history(source, task, spot.depth) as history:
                write_git_folder(folder, source, place, history)
        return written, modules

    @contextmanager
    def _history(self, source: Source, task: CopyTask, depth: int) -> Iterator[History | None]:
        """Yield the history of the repository itself, or None for a submodule: submodules are shallow."""
        if depth:
            yield None
            return
        with self._histories.entry(source, task.copy.ref, task, exact=task.copy.exact) as history:
            yield history

    @contextmanager
    def _fetched(self, source: Source, task: CopyTask) -> Iterator[Path]:
        url, commit = source.url, source.commit
        with ExitStack() as stack:
            try:
                make = partial(self._make, source, task)
                entry = self._cache.entry(source.cache_name, commit, make, task.check)
                place = stack.enter_context(entry)
            except TooMuch as error:
                raise self._too_large(source, task, error) from None
            except Refused:
                raise RefNotFound(spec=url, ref=commit) from None
            except BrokenPack as error:
                raise HostUnreachable(host=parsed(url).host, why="what it sent was cut short or broken") from error
            yield place

    def _too_large(self, source: Source, task: CopyTask, error: TooMuch) -> RepositoryTooLarge:
        """Return the error with the limit, and with the file if a single file exceeds it."""
        if not error.one_file:
            return RepositoryTooLarge(url=source.url, limit=error.limit)
        file = self._path_of(error.blob, source, task) if error.blob else ""
        return FileTooLarge(url=source.url, file=file or "a file", limit=error.limit)

    def _path_of(self, blob: bytes, source: Source, task: CopyTask) -> str:
        """Return the path of a file of the commit, from a listing without contents; empty if there is no such listing."""
        try:
            seconds = min(task.remaining_seconds(), LISTING_SECONDS)
            with self._client.exchange(
                source.url,
                seconds=seconds,
                max_bytes=TREE_LIMIT.total_bytes,
                stopped=task.stopped,
                check_redirect=self._refused.check,
            ):
                remote = self._wire.discover(source.url, source.authorization)
                if not remote.filters:
                    return ""
                with self._wire.pack(remote, source.commit, depth=1, filtered="blob:none") as pieces:
                    objects = unpacked(b"".join(pieces), TREE_LIMIT)
            entries = listing(objects, source.commit).entries.values()
        except (BinderyError, Refused, TooMuch, NotListed, BrokenPack):
            return ""
        return next((shown(os.fsencode(entry.path)) for entry in entries if entry.id == blob.decode()), "")

    def _make(self, source: Source, task: CopyTask, aside: Path) -> None:
        self._fetch(source, task, aside / PACK)
        self._cache.index(aside, self._limits, task.check)

    def _fetch(self, source: Source, task: CopyTask, pack: Path) -> None:
        task.copy.fetched = True
        too_large = RepositoryTooLarge(url=source.url, limit=readable_size(self._max_bytes))
        bytes_left = self._max_bytes - task.copy.downloaded
        if bytes_left <= 0:
            raise too_large
        try:
            with task.download(self._client, source.url, bytes_left, self._refused), pack.open("xb") as file:
                remote = self._wire.discover(source.url, source.authorization)
                task.copy.remotes[source.url] = remote
                with self._wire.pack(remote, source.commit, depth=1) as pieces:
                    file.writelines(pieces)
        except RepositoryTooLarge:
            raise too_large from None
        finally:
            task.copy.downloaded += pack.stat().st_size if pack.exists() else 0


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _submodules_of(read: Read, written: Written, task: CopyTask) -> dict[bytes, Submodule]:
    """Return the entries of the commit's `.gitmodules` by path.

    If the file cannot be read, adds a note and returns no entries.
    """
    listed = written.index.get(b".gitmodules")
    if not written.submodules or listed is None or listed.mode & 0o170000 != 0o100000:
        return {}
    if listed.size > MOST_GITMODULES:
        task.copy.notes.append(f"Submodules stay empty: .gitmodules is larger than {readable_size(MOST_GITMODULES)}.")
        return {}
    try:
        return read_gitmodules(read(b"blob", listed.sha))
    except RepositoryUnusable as error:
        task.copy.notes.append(f"Submodules stay empty: {error.facts['why']}.")
        return {}


def _empty(folder: Path) -> None:
    for inner in folder.iterdir():
        if inner.is_dir() and not inner.is_symlink():
            shutil.rmtree(inner)
        else:
            inner.unlink()
