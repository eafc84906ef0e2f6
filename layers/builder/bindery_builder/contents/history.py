"""History of a commit, for a working copy with the history of a clone: all commits and tags that lead to it, without files."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha1
from pathlib import Path
from typing import Final

from dulwich.object_format import SHA1
from dulwich.objects import ObjectID
from dulwich.pack import load_pack_index
from dulwich.refs import Ref as RefName
from dulwich.refs import check_ref_format

from bindery.adapters.git.packs import BrokenPack, PackLimits, TooMuch
from bindery.adapters.git.protocol import HEADS, TAGS, GitWire, Ref, Refused, Remote, TooManyRefs, fingerprint
from bindery.adapters.git.refs import COMMIT, OFTEN_MISSING
from bindery.adapters.git.refused_apis import RefusedApis
from bindery.adapters.http.budget import MB, SLICE_SECONDS, readable_size
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import BinderyError, HostLimited, HostUnreachable, RepositoryTooLarge
from bindery_builder.contents.copying import CopyTask, Source
from bindery_builder.contents.history_pack import CHECKSUM_BYTES, index_history
from bindery_builder.contents.pack_cache import INDEX, PACK, ObjectCache

DEPTH: Final = 20_000
LIMITS: Final = PackLimits(objects=200_000, object_bytes=MB, total_bytes=400 * MB)
MOST_BYTES: Final = 50 * MB
SECONDS: Final = 15.0
EXACT_SECONDS: Final = 120.0
REFS_SECONDS: Final = 3600.0
LATER_SECONDS: Final = 300.0
UNKNOWN_SECONDS: Final = 60.0
REFUSED_SECONDS: Final = 3600.0
MOST_REFUSED: Final = 1000
REFS: Final = "refs.json"
UNREADABLE: Final = "\ufffd"


class _NoHistory(Exception):  # caught in this module: the working copy becomes shallow
    """Permanent failure to get the history from this server. The text is the reason."""


@dataclass(frozen=True)
class History:
    """History of a commit in the cache.

    place: the folder with the pack of commits and tags. branch: the launched branch, or empty. default: the repository's default
    branch. tags: those that point to commits in the pack. shallow: commits without their parents.
    """

    place: Path
    branch: str
    default: str
    tags: tuple[Ref, ...]
    shallow: tuple[str, ...]


@dataclass(frozen=True)
class _Record:
    """Record of a fetched history. fingerprint: of all tags at the time of the fetch."""

    fingerprint: str
    default: str
    heads: frozenset[str]
    tags: tuple[Ref, ...]
    shallow: tuple[str, ...]

    def branch(self, ref: str) -> str | None:
        """Return the branch that `ref` names, empty for a tag or a commit, or None if the ref is unknown."""
        if ref == "HEAD":
            return self.default
        name = ref.removeprefix(HEADS)
        if name in self.heads:
            return name
        if COMMIT.fullmatch(ref) or (ref.startswith("refs/") and ref != name):
            return ""
        if any(tag.name == f"{TAGS}{ref.removeprefix(TAGS)}" for tag in self.tags):
            return ""
        return self.default if ref in OFTEN_MISSING else None


class Histories:
    """Histories of commits, fetched once and kept beside the packs of their files."""

    def __init__(self, client: GuardedClient, wire: GitWire, cache: ObjectCache, refused: RefusedApis) -> None:
        self._client = client
        self._refused_apis = refused
        self._wire = wire
        self._cache = cache
        self._refused: dict[str, tuple[str, float]] = {}

    @contextmanager
    def entry(self, source: Source, ref: str, task: CopyTask, *, exact: bool) -> Iterator[History | None]:
        """Yield the history of the source's commit, or None after a note with the reason why the working copy is shallow.

        ref: as in the link, such as `HEAD` or `main`. exact: the tags must be those that the host has now, and a host that does not
        answer raises HostUnreachable or HostLimited.
        """
        share = task.bounded(EXACT_SECONDS if exact else SECONDS)
        with ExitStack() as stack:
            try:
                place, record = self._entered(source, ref, share, stack, exact=exact)
            except BinderyError as error:
                if task.stopped() or (exact and isinstance(error, HostUnreachable | HostLimited)):
                    raise
                refused = self._refuse(f"later {source.cache_name}", "its host did not send it in time", LATER_SECONDS)
                task.copy.notes.append(_note(str(refused)))
                yield None
            except _NoHistory as error:
                task.copy.notes.append(_note(str(error)))
                yield None
            else:
                if record.shallow:
                    task.copy.notes.append(
                        f"The repository's history is long: only its newest {DEPTH} commits are here."
                    )
                yield History(place, record.branch(ref) or "", record.default, record.tags, record.shallow)

    def _entered(
        self, source: Source, ref: str, task: CopyTask, stack: ExitStack, *, exact: bool
    ) -> tuple[Path, _Record]:
        """Return the entry in the cache, held until `stack` is closed. An entry that is damaged on disk is fetched again."""
        for name in (source.cache_name, *(() if exact else (f"later {source.cache_name}",))):
            why, until = self._refused.get(name, ("", 0.0))
            if time.monotonic() < until:
                raise _NoHistory(why)
        self._refresh(source, ref, task, exact=exact)
        for _ in range(2):
            make = partial(self._make, source, task)
            entry = self._cache.entry(_cache_name(source), source.commit, make, task.check)
            place = stack.enter_context(entry)
            try:
                return place, _checked(place)
            except (OSError, ValueError):
                self._cache.drop(place)
        raise _NoHistory("it could not be kept on this machine's disk")

    def _refuse(self, name: str, why: str, seconds: float = REFUSED_SECONDS) -> _NoHistory:
        """Remember for a while that a repository's history is unavailable, so that the next launch does not try again."""
        if len(self._refused) >= MOST_REFUSED:
            self._refused.clear()
        self._refused[name] = why, time.monotonic() + seconds
        return _NoHistory(why)

    def _refresh(self, source: Source, ref: str, task: CopyTask, *, exact: bool) -> None:
        """Remove a cached history if its tags may have changed since, or if it does not contain `ref`."""
        place = self._cache.place(_cache_name(source), source.commit)
        try:
            age = time.time() - (place / REFS).stat().st_mtime
            record = _read(place)
        except (OSError, ValueError):
            return
        if not exact and age < (UNKNOWN_SECONDS if record.branch(ref) is None else REFS_SECONDS):
            return
        try:
            with task.download(self._client, source.url, MOST_BYTES, self._refused_apis):
                refs = self._refs(source, self._remote(source, task))
        except (HostUnreachable, HostLimited):
            if exact:
                raise
            return
        if fingerprint(refs) == record.fingerprint and record.heads == _heads(refs):
            (place / REFS).touch()
            return
        while not self._cache.forget(place):  # a starting session is copying it
            task.check()
            time.sleep(SLICE_SECONDS)

    def _make(self, source: Source, task: CopyTask, aside: Path) -> None:
        """Fetch the history into a new folder of the cache. Raises _NoHistory and BinderyError."""
        task.copy.fetched = True
        try:
            with task.download(self._client, source.url, MOST_BYTES, self._refused_apis):
                remote = self._remote(source, task)
                refs = self._refs(source, remote)
                with (
                    (aside / PACK).open("xb") as file,
                    self._wire.history(remote, source.commit, DEPTH) as (shallow, pieces),
                ):
                    file.writelines(pieces)
            index_history(aside, LIMITS, task.check)
        except TooMuch as error:
            raise self._refuse(source.cache_name, f"it is over the limit ({error.limit})") from None
        except RepositoryTooLarge:
            raise self._refuse(source.cache_name, f"it is over the limit ({readable_size(MOST_BYTES)})") from None
        except (Refused, BrokenPack):
            raise self._refuse(source.cache_name, "its server does not send it by itself") from None
        _write(aside, refs, shallow)

    def _remote(self, source: Source, task: CopyTask) -> Remote:
        return task.copy.remotes.get(source.url) or self._wire.discover(source.url, source.authorization)

    def _refs(self, source: Source, remote: Remote) -> tuple[Ref, ...]:
        if not remote.filters:
            raise self._refuse(source.cache_name, "its server does not send it by itself (no filters)")
        try:
            return self._wire.listed(remote, ("HEAD", HEADS, TAGS))
        except TooManyRefs as error:
            raise self._refuse(source.cache_name, str(error)) from None


def _cache_name(source: Source) -> str:
    return f"history of {source.cache_name}"


def _note(why: str) -> str:
    return f"The working copy has no history and no tags: {why}. In a terminal, git fetch --unshallow --tags gets them."


def _heads(refs: tuple[Ref, ...]) -> frozenset[str]:
    return frozenset(ref.name.removeprefix(HEADS) for ref in refs if ref.name.startswith(HEADS) and _is_valid(ref.name))


def _is_valid(name: str) -> bool:
    return check_ref_format(RefName(name.encode())) and name.isprintable() and UNREADABLE not in name


def _write(aside: Path, refs: tuple[Ref, ...], shallow: tuple[str, ...]) -> None:
    """Write the refs beside the pack. Tags are written only if their objects are in the pack."""
    with closing(load_pack_index(str(aside / INDEX), SHA1)) as index:

        def is_there(object_id: str) -> bool:
            try:
                index.object_offset(ObjectID(object_id.encode()))
            except KeyError:
                return False
            return True

        tags = [ref for ref in refs if ref.name.startswith(TAGS) and _is_valid(ref.name)]
        tags = [tag for tag in tags if is_there(tag.commit) and is_there(tag.id)]
        shallow = tuple(commit for commit in shallow if is_there(commit))
    default = next((ref.target.removeprefix(HEADS) for ref in refs if ref.name == "HEAD"), "")
    heads = _heads(refs)
    record = {
        "fingerprint": fingerprint(refs),
        "default": default if default in heads else "",
        "heads": sorted(heads),
        "tags": [[tag.name, tag.id, tag.commit] for tag in tags],
        "shallow": shallow,
    }
    (aside / REFS).write_text(json.dumps(record), encoding="utf-8")


def _checked(place: Path) -> _Record:
    """Return the record after verifying the checksums of pack and index. Raises OSError, ValueError."""
    for name in (PACK, INDEX):
        content = (place / name).read_bytes()
        if sha1(content[:-CHECKSUM_BYTES], usedforsecurity=False).digest() != content[-CHECKSUM_BYTES:]:
            raise ValueError("spoiled on disk")
    return _read(place)


def _read(place: Path) -> _Record:
    """Return the record that was written beside the pack. Raises OSError, ValueError."""
    try:
        record = json.loads((place / REFS).read_bytes())
        tags = tuple(Ref(name, object_id, commit) for name, object_id, commit in record["tags"])
        return _Record(
            record["fingerprint"], record["default"], frozenset(record["heads"]), tags, tuple(record["shallow"])
        )
    except (KeyError, TypeError) as error:
        raise ValueError("spoiled on disk") from error
