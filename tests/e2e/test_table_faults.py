"""Tests of a table with a file that cannot be written for a while. Launches wait or say so, and afterwards all work
goes on by itself.
"""

import resource
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.serving.git_http import GitServer
from tests.serving.kernel import Session
from tests.serving.leftovers import check_at_rest
from tests.serving.messages import check_readable
from tests.serving.runtime import LocalRuntime, until

BUSY_SECONDS = 5  # the seconds that the table waits for other clients
SETTINGS = {"reconcile_seconds": 1, "cull_seconds": 1}
MANY = 8
SOON_SECONDS = 45.0  # without having to wait until a minute's timer finds it
Way = Callable[[LocalRuntime], AbstractContextManager[None]]


@contextmanager
def locked(bindery: LocalRuntime) -> Iterator[None]:
    """Lock the table by another client's transaction, for longer than the table waits for a transaction."""
    other = sqlite3.connect(bindery.home / "table.sqlite", isolation_level=None, timeout=30)
    try:
        other.execute("BEGIN EXCLUSIVE")
        start = time.monotonic()
        yield
        until(lambda: time.monotonic() > start + 2 * BUSY_SECONDS)
        other.execute("ROLLBACK")
    finally:
        other.close()


@contextmanager
def read_only(bindery: LocalRuntime) -> Iterator[None]:
    """Make the table's files immutable. Root may write to read-only files, but not to immutable ones, even through an
    open file.
    """
    files = [str(bindery.home / f"table.sqlite{part}") for part in ("", "-wal")]
    tried = subprocess.run(["chattr", "+i", *files], capture_output=True, check=False)
    try:
        if tried.returncode:
            pytest.skip("only root can make files immutable, and not on every file system")
        yield
    finally:
        subprocess.run(["chattr", "-i", *files], capture_output=True, check=False)


@contextmanager
def without_room(bindery: LocalRuntime) -> Iterator[None]:
    """Set a limit so that the system accepts no more bytes of the process for any file."""
    _, most = before = resource.prlimit(bindery.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(bindery.pid, resource.RLIMIT_FSIZE, (0, most))
    try:
        yield
    finally:
        resource.prlimit(bindery.pid, resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="module")
def bindery(git_server: GitServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRuntime]:
    home = tmp_path_factory.mktemp("table") / "home"
    with LocalRuntime(home, allowed_private_hosts=git_server.address, settings=SETTINGS) as runtime:
        yield runtime


@pytest.mark.parametrize("way", [locked, read_only, without_room])
def test_launches_report_an_unwritable_table_and_work_afterwards(bindery: LocalRuntime, plain: str, way: Way) -> None:
    before = Session.of(bindery.launch(plain).last.data)
    with bindery.stream(plain) as under_way, ThreadPoolExecutor(MANY) as visitors:
        under_way.wait_for("launching")
        with way(bindery):
            launches = [visitors.submit(bindery.launch, plain) for _ in range(MANY)]
            assert bindery.get("/health").status_code in {200, 503}  # within the client's 30 seconds
            refused = [launch.result().last for launch in launches]
            assert before.answers()
        start = time.monotonic()
        ready = under_way.finish().last
        assert time.monotonic() - start < SOON_SECONDS
    for last in refused:
        assert last.phase == "failed"
        assert "Nothing can be recorded here just now" in last.message
        check_readable(last.message)
    assert ready.phase == "ready"
    assert before.answers()
    assert Session.of(ready.data).answers()
    assert bindery.get("/health").status_code == 200
    assert bindery.launch(plain).last.phase == "ready"
    check_at_rest(bindery)


def test_a_start_waits_for_a_locked_table_with_a_message(bindery: LocalRuntime, plain: str) -> None:
    token = bindery.token(f"git/{plain}", jti="before the lock")
    assert bindery.launch(plain, build_token=token).last.phase == "ready"
    bindery.kill9()
    with ThreadPoolExecutor(1) as starting:
        with locked(bindery):
            started = starting.submit(bindery.start)
            until(lambda: "The table cannot be written just now" in bindery.errors.read_text())
            assert not started.done()
        started.result()
    assert "Bindery was started again" in bindery.launch(plain, build_token=token).last.message
    assert bindery.launch(plain).last.phase == "ready"
    check_at_rest(bindery)
