"""The table's promises over SQLite alone: files, processes, and a full disk."""

import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest

from bindery.domain.errors import Stale, Throttled
from bindery.ports.table import Delete, Item
from bindery_local.sqlite_table import SqliteTable
from tests.serving.paths import python_path

# Puts items until it is killed, and prints each number after its put has returned.
PUTS_FOR_EVER = """
import sys
from itertools import count
from pathlib import Path
from bindery_local.sqlite_table import SqliteTable
from bindery.ports.table import Item

table = SqliteTable(Path(sys.argv[1]))
for number in count():
    table.transact([Item("one", f"{number:09}", {"x": "y" * 2000}), Item("two", f"{number:09}")])
    print(number, flush=True)
"""
# Adds to a counter, a hundred times.
INCREMENTS = """
import sys
from pathlib import Path
from bindery_local.sqlite_table import SqliteTable
from bindery.domain.errors import Stale
from bindery.ports.table import Item

table = SqliteTable(Path(sys.argv[1]), busy_seconds=60)
done = 0
while done < 100:
    item = table.get("counter", "0") or Item("counter", "0", {"count": 0})
    try:
        table.put(item.with_data({"count": item.data["count"] + 1}))
        done += 1
    except Stale:
        pass
table.close()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "table.sqlite"


@pytest.fixture
def table(path: Path) -> Iterator[SqliteTable]:
    with closing(SqliteTable(path, busy_seconds=0.05)) as table:
        yield table


@pytest.fixture
def other(table: SqliteTable, path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a second connection to the table's file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def run(code: str, path: Path) -> subprocess.Popen[str]:
    environment = {"PYTHONPATH": python_path()}
    return subprocess.Popen([sys.executable, "-c", code, path], env=environment, stdout=subprocess.PIPE, text=True)


def test_other_users_cannot_read_the_files(table: SqliteTable, path: Path) -> None:
    table.put(Item("session#1", "token"))
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"table.sqlite": 0o600, "table.sqlite-wal": 0o600, "table.sqlite-shm": 0o600}


def test_a_file_that_others_could_read_gets_private_permissions(path: Path) -> None:
    path.parent.mkdir()
    path.touch(0o644)
    SqliteTable(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_items_persist_when_the_file_is_opened_again(path: Path) -> None:
    with closing(SqliteTable(path)) as table:
        put = table.put(Item("launch#1", "state", {"phase": "ready"}, 0, "shard", 5.5, 7.5))
    with closing(SqliteTable(path)) as table:
        assert table.get("launch#1", "state") == put
        assert table.due("shard", 6) == [put]


def test_two_tables_on_one_file_see_each_other(table: SqliteTable, path: Path) -> None:
    first = table.put(Item("launch#1", "state"))
    with closing(SqliteTable(path)) as second:
        changed = second.put(first.with_data({"by": "second"}))
    assert table.get("launch#1", "state") == changed
    with pytest.raises(Stale):
        table.put(first)


@pytest.mark.parametrize("kill_after", [1, 50, 300])
def test_committed_writes_of_a_killed_process_persist(path: Path, kill_after: int) -> None:
    with run(PUTS_FOR_EVER, path) as process:
        assert process.stdout
        for line in process.stdout:
            if int(line) >= kill_after:
                break
        process.kill()
        lines = [line, *process.stdout]
    last = int(lines[-1]) if lines[-1].endswith("\n") else int(lines[-2])
    with closing(SqliteTable(path)) as table:
        one = [item.sk for item in table.query("one", limit=100_000)]
        two = [item.sk for item in table.query("two", limit=100_000)]
        assert one == two == [f"{number:09}" for number in range(len(one))]
        assert len(one) > last
        table.put(Item("launch#1", "state"))


def test_processes_that_share_a_new_file_lose_no_increment(path: Path) -> None:
    processes = [run(INCREMENTS, path) for _ in range(4)]
    for process in processes:
        with process:
            assert process.wait() == 0
    with closing(SqliteTable(path)) as table:
        item = table.get("counter", "0")
    assert item is not None
    assert item.data == {"count": 400}


WRITES: list[Callable[[SqliteTable, Item], object]] = [
    lambda table, item: table.put(item),
    lambda table, item: table.put(Item("new", "item", item.data)),
    lambda table, item: table.delete(item),
    lambda table, item: table.transact([item, Item("new", "item")]),
    lambda table, item: table.transact([Item("new", "item"), Delete(item)]),
]
every_write = pytest.mark.parametrize("write", WRITES, ids=["put", "put new", "delete", "transact", "transact delete"])


@every_write
def test_a_write_blocked_too_long_is_throttled_and_writes_nothing(
    table: SqliteTable, other: sqlite3.Connection, write: Callable[[SqliteTable, Item], object]
) -> None:
    existing = table.put(Item("kept", "item"))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Throttled):
        write(table, existing)
    assert table.get("kept", "item") == existing  # reading continues meanwhile
    assert table.get("new", "item") is None
    other.execute("ROLLBACK")
    write(table, existing)


def test_calls_do_not_queue_behind_blocked_writes(path: Path, other: sqlite3.Connection) -> None:
    with closing(SqliteTable(path, busy_seconds=0.5)) as table, ThreadPoolExecutor(20) as threads:
        other.execute("BEGIN IMMEDIATE")
        writes = [threads.submit(table.put, Item("new", str(number))) for number in range(20)]
        started = time.monotonic()
        with suppress(Throttled):  # or it is answered in between
            table.get("new", "item")
        assert time.monotonic() - started < 5, "it waited for all the others"
        other.execute("ROLLBACK")
        assert {type(write.exception()) for write in writes} <= {Throttled, type(None)}


@every_write
def test_a_write_to_a_read_only_table_is_throttled(
    table: SqliteTable, write: Callable[[SqliteTable, Item], object]
) -> None:
    existing = table.put(Item("kept", "item"))
    table._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(Throttled):
        write(table, existing)
    assert table.get("kept", "item") == existing
    table._connection.execute("PRAGMA query_only = OFF")
    write(table, existing)


def test_a_write_to_a_full_disk_is_throttled_and_writes_nothing(table: SqliteTable) -> None:
    existing = table.put(Item("kept", "item"))
    (pages,) = table._connection.execute("PRAGMA page_count").fetchone()
    table._connection.execute(f"PRAGMA max_page_count = {pages + 3}")
    large = {"x": "y" * 200_000}
    with pytest.raises(Throttled):
        table.put(Item("large", "item", large))
    with pytest.raises(Throttled):
        table.transact([existing.with_data({"changed": True}), Item("large", "item", large)])
    assert table.get("large", "item") is None
    assert table.get("kept", "item") == existing
    table._connection.execute("PRAGMA max_page_count = 100000")
    table.put(Item("large", "item", large))


def test_tidying_removes_expired_items_only(table: SqliteTable) -> None:
    for number in range(5):
        table.put(Item("old", str(number), {}, 0, "shard", 1.0, 100.0 + number))
    table.put(Item("lasting", "item"))
    assert table.tidy(now=103, limit=3) == 3
    assert [item.sk for item in table.query("old")] == ["3", "4"]
    assert [item.sk for item in table.due("shard", 2)] == ["3", "4"]
    assert table.tidy(now=103) == 1
    assert table.tidy(now=103) == 0
    assert table.get("lasting", "item") is not None


def test_closing_twice_is_no_error(path: Path) -> None:
    table = SqliteTable(path)
    table.close()
    table.close()
