"""Contents port for published records: their files as the host lists them. A single archive is unpacked."""

import hashlib
import shutil
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

from urllib3.response import BaseHTTPResponse

from bindery.adapters.git.refs import shown
from bindery.adapters.hosts.records.base import Listing, RecordFile, RecordHost
from bindery.adapters.http.address_rules import parsed
from bindery.adapters.http.budget import MB, SLICE_SECONDS, TimeLimit, readable_size
from bindery.adapters.http.client import GuardedClient, responding_host
from bindery.domain.errors import HostLimited, HostUnreachable, RepositoryTooLarge, RepositoryUnusable
from bindery.domain.repository import Repository
from bindery.ports.clock import Clock
from bindery.ports.contents import Checkout, never_stopped
from bindery_builder.contents.archives import PIECE, is_archive, unpack
from bindery_builder.contents.record_folder import RecordFolder
from bindery_builder.contents.work_tree import Room

ALGORITHMS: Final = {"md5", "sha1", "sha224", "sha256", "sha384", "sha512"}
MOST_NOTES: Final = 10
MOST_TRIES: Final = 5
MOST_WAIT: Final = 75.0
"""Seconds of waiting for one file. A build occupies a slot while it waits. A longer wait fails the build with the host's retry time.

It is more than a minute, the usual wait: hosts' clocks may be ahead, or hosts may add some seconds.
"""
KEPT_FROM_US: Final = {400, 401, 403, 404, 410, 451}


@dataclass
class _RecordTask(TimeLimit):
    room: Room


class RecordContents:
    """Files of published records. There is no cache: a record's environment is made once and contains the files.

    host: by provider's id. max_bytes, max_files: limits of the fetched files, and again of the unpacked files. seconds: the time
    limit of one record.
    """

    def __init__(
        self,
        host: Callable[[str], RecordHost],
        client: GuardedClient,
        clock: Clock,
        *,
        max_bytes: int = 2_000 * MB,
        max_files: int = 200_000,
        seconds: float = 300,
    ) -> None:
        self._host = host
        self._client = client
        self._clock = clock
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._seconds = seconds

    def checkout(
        self,
        repository: Repository,
        folder: Path,
        seconds: float | None = None,
        stopped: Callable[[], bool] = never_stopped,
        *,
        exact: bool = False,  # noqa: ARG002 # a record has no history
    ) -> Checkout:
        most = self._seconds if seconds is None else min(self._seconds, seconds)
        host = parsed(repository.clone_url).host
        task = _RecordTask(host, most, stopped, time.monotonic() + most, self._room(repository))
        listing = self._host(repository.provider).files(repository, task)
        self._check(listing, repository)
        aside = folder.with_name(f".{folder.name}-{uuid4().hex[:8]}")
        aside.mkdir(parents=True)
        try:
            self._fill(listing, repository, aside, task).rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return Checkout(_few(listing.notes))

    def _room(self, repository: Repository) -> Room:
        return Room(repository.repo_url, self._max_bytes, self._max_files)

    def _check(self, listing: Listing, repository: Repository) -> None:
        """Raise an error for a listing that is empty or over the limits, before the first file is fetched."""
        if not listing.files:
            raise RepositoryUnusable(
                why="it holds no files that everybody may read: only a description, or they are restricted or under embargo"
            )
        if len(listing.files) > self._max_files:
            raise RepositoryTooLarge(url=repository.repo_url, limit=f"{self._max_files} files")
        if sum(file.size or 0 for file in listing.files) > self._max_bytes:
            raise RepositoryTooLarge(url=repository.repo_url, limit=readable_size(self._max_bytes))

    def _fill(self, listing: Listing, repository: Repository, aside: Path, task: _RecordTask) -> Path:
        fetched = RecordFolder(aside / "files", task.room)
        lone = listing.files[0] if len(listing.files) == 1 else None
        if lone is None or not is_archive(lone.path):
            for file in listing.files:
                self._fetch(file, file.path, fetched, task)
            return fetched.finish(task.check, hoist=False)
        self._fetch(lone, "archive", fetched, task)
        room = self._room(repository)
        unpacked = RecordFolder(aside / "unpacked", room)
        unpack(aside / "files" / "archive", lone.path, unpacked, room, task.check)
        return unpacked.finish(task.check, hoist=True)

    def _fetch(self, file: RecordFile, path: str, folder: RecordFolder, task: _RecordTask) -> None:
        with closing(self._pieces(file, task)) as pieces:
            folder.write(path, pieces)

    def _pieces(self, file: RecordFile, task: _RecordTask) -> Generator[bytes, None, None]:
        """Yield a file's content. Raise an error at the end if it differs from the host's listing."""
        algorithm, _, digits = file.checksum.lower().partition(":")
        digest = hashlib.new(algorithm, usedforsecurity=False) if algorithm in ALGORITHMS else None
        size = 0
        with self._opened(file, task) as response:
            for piece in response.stream(PIECE, decode_content=False):
                size += len(piece)
                if file.size is not None and size > file.size:
                    break
                if digest:
                    digest.update(piece)
                yield piece
        if file.size is not None and size != file.size:
            raise _other_content(file, "size")
        if digest and digest.hexdigest() != digits:
            raise _other_content(file, "checksum")

    @contextmanager
    def _opened(self, file: RecordFile, task: _RecordTask) -> Iterator[BaseHTTPResponse]:
        """Yield the response with the file. If the host requests a wait, wait and retry.

        The waits are at most MOST_WAIT for one file, and within the task's time.
        """
        patience = MOST_WAIT
        for tries_left in reversed(range(MOST_TRIES)):
            with ExitStack() as opened:
                try:
                    response = opened.enter_context(self._response(file, task))
                except HostLimited as limited:
                    if not tries_left:
                        raise
                    patience -= self._wait(limited, patience, task)
                else:
                    yield response
                    return

    @contextmanager
    def _response(self, file: RecordFile, task: _RecordTask) -> Iterator[BaseHTTPResponse]:
        """Request the file once and yield the response. Raises HostLimited."""
        self._client.rate_limits.check(file.url, self._clock.now())
        exchange = self._client.exchange(
            file.url,
            seconds=task.remaining_seconds(),
            max_bytes=self._max_bytes + MB,
            stopped=task.stopped,
            download=True,
        )
        with exchange, self._client.stream("GET", file.url, {}) as response:
            host = responding_host(response, file.url)
            self._client.record_rate_limit(response, file.url, self._clock.now())
            _check_status(response.status, host, file)
            yield response

    def _wait(self, limited: HostLimited, most: float, task: _RecordTask) -> float:
        """Wait until the host accepts requests. Return the seconds.

        Raises HostLimited if they are more than `most` or more than the task's remaining time.
        """
        at = float(limited.facts["at"])
        wait = max(0.0, at - self._clock.now())
        if wait > min(most, task.remaining_seconds()):
            raise limited
        while (seconds_left := at - self._clock.now()) > 0:
            task.check()
            time.sleep(min(seconds_left, SLICE_SECONDS))
        return wait


def _check_status(status: int, host: str, file: RecordFile) -> None:
    if status in KEPT_FROM_US:
        why = f"its file {shown(file.path)} cannot be had: {host} answers with status {status}"
        raise RepositoryUnusable(why=why)
    if status != 200:
        raise HostUnreachable(host=host, why=f"it answers with status {status}")


def _few(notes: tuple[str, ...]) -> tuple[str, ...]:
    """Return at most MOST_NOTES notes, and a count of the others."""
    more = len(notes) - MOST_NOTES
    return notes if more <= 0 else (*notes[:MOST_NOTES], f"So it is with {more} more.")


def _other_content(file: RecordFile, difference: str) -> HostUnreachable:
    why = f"it sent {shown(file.path)} with another {difference} than its listing says"
    return HostUnreachable(host=parsed(file.url).host, why=why)
