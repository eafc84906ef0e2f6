"""Fetcher of Git LFS files: replaces pointers with their files, through the guarded client.

The batch API (https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md) names an address for each object. A file is a pointer
if its content is one, as for `git lfs pull`, and if a `.gitattributes` above it names the filter `lfs`.
"""

import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final

from dulwich.index import IndexEntry, index_entry_from_stat
from pydantic import BaseModel, Field, ValidationError

from bindery.adapters.git.refused_apis import RefusedApis
from bindery.adapters.http.address_rules import parsed
from bindery.adapters.http.budget import MB
from bindery.adapters.http.client import GuardedClient, responding_host
from bindery.adapters.http.rate_limits import LONGEST_WAIT_ELSEWHERE
from bindery.domain.errors import (
    BadAddress,
    BinderyError,
    HostLimited,
    HostUnreachable,
    RepositoryUnusable,
)
from bindery.ports.clock import Clock
from bindery_builder.contents.copying import CopyTask, Source
from bindery_builder.contents.pack_cache import PACK, ObjectCache
from bindery_builder.contents.submodules import why
from bindery_builder.contents.work_tree import Written

MEDIA_TYPE: Final = "application/vnd.git-lfs+json"
POINTER: Final = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:(?P<oid>[0-9a-f]{64})\nsize (?P<size>[0-9]{1,15})\n"
)
LARGEST_POINTER: Final = 1024
LARGEST_ATTRIBUTES: Final = 100_000
BATCH: Final = 100
MOST_OBJECTS: Final = 2000
MOST_FAILURES: Final = 20
MOST_ANSWER: Final = 4 * MB
PIECE: Final = 1 << 16
EARLIER_SECONDS: Final = 10
HEADER: Final = re.compile(r"authorization|accept|x-[a-z0-9-]{1,64}", re.IGNORECASE)
"""Headers that a server may request for downloads of its objects."""
INCOMING: Final = "incoming"


class _Action(BaseModel):
    href: str = Field(max_length=8192)
    header: dict[str, str] = Field(default_factory=dict, max_length=20)


class _Actions(BaseModel):
    download: _Action | None = None


class _Object(BaseModel):
    oid: str
    actions: _Actions = _Actions()


class _Answer(BaseModel):
    objects: list[_Object] = Field(max_length=BATCH * 2)


@dataclass(frozen=True)
class _Pointer:
    """Pointer file of the working copy. path: below the repository's own folder. size: the object's bytes."""

    path: bytes
    oid: str
    size: int
    pointer_bytes: int


class LargeFiles:
    """Git LFS objects, fetched once and kept beside the packs of the same repository."""

    def __init__(self, client: GuardedClient, clock: Clock, cache: ObjectCache, refused: RefusedApis) -> None:
        self._refused = refused
        self._client = client
        self._clock = clock
        self._cache = cache

    def fill(self, source: Source, folder: Path, written: Written, task: CopyTask) -> list[tuple[bytes, str]]:
        """Replace the pointers in `folder`, a new working copy, with their objects.

        Updates `written.index`. Returns the paths of the pointers that stay, each with the reason.
        """
        pointers, remaining = _pointers(folder, written)
        failures = 0
        for begin in range(0, len(pointers), BATCH):
            batch = pointers[begin : begin + BATCH]
            try:
                actions = self._actions(source, batch, task)
            except BinderyError as error:
                _go_on(task, error)
                return remaining + [(pointer.path, why(error)) for pointer in pointers[begin:]]
            for number, pointer in enumerate(batch, begin):
                try:
                    self._replace(source, folder, written.index, pointer, actions.get(pointer.oid), task)
                except (HostUnreachable, HostLimited) as error:
                    _go_on(task, error)
                    return remaining + [(other.path, why(error)) for other in pointers[number:]]
                except BinderyError as error:
                    _go_on(task, error)
                    remaining.append((pointer.path, why(error)))
                    failures += 1
                    if failures >= MOST_FAILURES:  # a server must not cause unlimited requests to other hosts
                        return remaining + [(other.path, why(error)) for other in pointers[number + 1 :]]
        return remaining

    def _actions(self, source: Source, batch: Sequence[_Pointer], task: CopyTask) -> dict[str, _Action]:
        """Return the address of each object. Sends one request. Objects that the server does not have are left out."""
        missing = {p.oid: p.size for p in batch if not (self._cache.place(_cache_name(source), p.oid) / PACK).exists()}
        if not missing:
            return {}
        url = f"{source.url.rstrip('/').removesuffix('.git')}.git/info/lfs/objects/batch"
        objects = [{"oid": oid, "size": size} for oid, size in missing.items()]
        body = json.dumps({"operation": "download", "transfers": ["basic"], "objects": objects, "hash_algo": "sha256"})
        headers = {"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE}
        headers |= {"Authorization": source.authorization} if source.authorization else {}
        self._client.rate_limits.check(url, self._clock.now(), source.authorization)
        exchange = self._client.exchange(
            url,
            seconds=task.remaining_seconds(),
            max_bytes=MOST_ANSWER,
            stopped=task.stopped,
            check_redirect=self._refused.check,
        )
        with exchange, self._client.stream("POST", url, headers, body.encode()) as response:
            host = responding_host(response, url)
            self._client.record_rate_limit(response, url, self._clock.now(), source.authorization)
            if response.status in {401, 403, 404, 410}:
                raise RepositoryUnusable(why=f"{host} does not give them out (status {response.status})")
            if response.status != 200:
                raise HostUnreachable(host=host, why=f"it answers with status {response.status}")
            answer = response.read(decode_content=False)
        try:
            objects_found = _Answer.model_validate_json(answer).objects
        except ValidationError:
            raise HostUnreachable(host=host, why="its answer is not that of a Git LFS server") from None
        return {
            each.oid: each.actions.download for each in objects_found if each.oid in missing and each.actions.download
        }

    def _replace(  # noqa: PLR0917 # one step of `fill`
        self,
        source: Source,
        folder: Path,
        index: dict[bytes, IndexEntry],
        pointer: _Pointer,
        action: _Action | None,
        task: CopyTask,
    ) -> None:
        task.check()
        task.copy.room.grow(pointer.size - pointer.pointer_bytes)  # counts even if it fails: this limits the downloads
        target, incoming = folder / os.fsdecode(pointer.path), folder / ".git" / INCOMING
        make = partial(self._download, source, pointer, action, task)
        try:
            for _ in range(2):  # an object that is damaged on disk is fetched again
                with self._cache.entry(_cache_name(source), pointer.oid, make, task.check) as place:
                    if _copied(place / PACK, incoming, task) == pointer.oid:
                        break
                    self._cache.drop(place)
            else:
                raise RepositoryUnusable(why="it could not be kept on this machine's disk")
            incoming.chmod(target.lstat().st_mode & 0o777)
            earlier = time.time() - EARLIER_SECONDS  # git reads files that are as new as its index
            os.utime(incoming, (earlier, earlier))
            incoming.replace(target)
        finally:
            incoming.unlink(missing_ok=True)
        index[pointer.path] = index_entry_from_stat(target.lstat(), index[pointer.path].sha)

    def _download(self, source: Source, pointer: _Pointer, action: _Action | None, task: CopyTask, aside: Path) -> None:
        """Write the object into a new folder of the cache. Its size and hash must match the pointer's."""
        if action is None:
            raise RepositoryUnusable(why="its host does not have them")
        if source.url.startswith("https:") and not action.href.lower().startswith("https:"):
            raise BadAddress(url=action.href, why="its address would leave https")
        self._refused.check(action.href)
        headers, credential = _allowed(action.header), _authorization(action.header)
        self._client.rate_limits.check(action.href, self._clock.now(), credential)
        task.copy.fetched = True
        hashed, size = sha256(), 0
        with (
            task.download(self._client, action.href, pointer.size + MB, self._refused),
            (aside / PACK).open("xb") as file,
            self._client.stream("GET", action.href, headers) as response,
        ):
            self._client.record_rate_limit(
                response, action.href, self._clock.now(), credential, longest=LONGEST_WAIT_ELSEWHERE
            )
            if response.status != 200:
                host = responding_host(response, action.href)
                raise RepositoryUnusable(why=f"{host} answers with status {response.status}")
            for piece in response.stream(PIECE, decode_content=False):
                hashed.update(piece)
                size += len(piece)
                file.write(piece)
        if (size, hashed.hexdigest()) != (pointer.size, pointer.oid):
            raise RepositoryUnusable(why=f"{parsed(action.href).host} sent something else than the pointer names")


def _go_on(task: CopyTask, error: BinderyError) -> None:
    """Raise the error if the launch was stopped."""
    if task.stopped():
        raise error


def _cache_name(source: Source) -> str:
    return f"lfs of {source.cache_name}"


def _allowed(headers: dict[str, str]) -> dict[str, str]:
    """Return the headers that a server may request at its own address."""
    sound = {name: value for name, value in headers.items() if HEADER.fullmatch(name)}
    sound = {name: value for name, value in sound.items() if value.isascii() and value.isprintable()}
    return {**sound, "Accept-Encoding": "identity"}


def _authorization(headers: dict[str, str]) -> str:
    """Return the credential among the headers that `_allowed` returns, or an empty string."""
    return next((value for name, value in _allowed(headers).items() if name.lower() == "authorization"), "")


def _copied(source: Path, target: Path, task: CopyTask) -> str:
    """Copy a file. Return its SHA-256 in hex."""
    hashed = sha256()
    with source.open("rb") as old, target.open("wb") as new:
        while piece := old.read(1 << 20):
            task.check()
            hashed.update(piece)
            new.write(piece)
    return hashed.hexdigest()


def _pointers(folder: Path, written: Written) -> tuple[list[_Pointer], list[tuple[bytes, str]]]:
    """Return the pointers to fetch, and the remaining ones, each with the reason."""
    pointers: list[_Pointer] = []
    remaining: list[tuple[bytes, str]] = []
    marking = {path.rpartition(b".gitattributes")[0] for path in _attribute_files(folder, written)}
    for path in written.pointers:
        with (folder / os.fsdecode(path)).open("rb") as file:
            content = file.read(LARGEST_POINTER)
        match = POINTER.fullmatch(content)
        if match is None:
            remaining.append((path, "its pointer is not one of version 1 with a SHA-256 id"))
        elif not any(path.startswith(above) for above in marking):
            remaining.append((path, "no .gitattributes names the filter lfs for it"))
        elif len(pointers) >= MOST_OBJECTS:
            remaining.append((path, f"only {MOST_OBJECTS} files are fetched"))
        else:
            pointers.append(_Pointer(path, match["oid"].decode(), int(match["size"]), len(content)))
    return pointers, remaining


def _attribute_files(folder: Path, written: Written) -> Iterator[bytes]:
    """Yield the paths of the `.gitattributes` files that name the filter."""
    if not written.pointers:
        return
    for path, entry in written.index.items():
        is_attributes = path == b".gitattributes" or path.endswith(b"/.gitattributes")
        plain = entry.mode & 0o170000 == 0o100000 and entry.size <= LARGEST_ATTRIBUTES
        if is_attributes and plain and b"filter=lfs" in (folder / os.fsdecode(path)).read_bytes():
            yield path
