"""Table in SQLite: a file that several processes may share, or in memory for tests.

WAL with synchronous=NORMAL: a completed write survives the end of the process. Only a power failure or a crash of the operating
system can undo the last transactions; the file stays consistent even then. One connection under one lock serves all threads: about
ten thousand puts and twenty thousand gets per second. With a connection per thread, writes were not faster when measured and reads
were 50 % faster: too little for the cost of many connections.
"""

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

from bindery.adapters.table_limits import (
    check_key,
    check_keys,
    check_limit,
    check_query,
    encode,
    encode_all,
    fresh_version,
)
from bindery.domain.errors import Stale, Throttled
from bindery.ports.table import Delete, Item

SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    pk TEXT NOT NULL, sk TEXT NOT NULL, version INTEGER NOT NULL, data TEXT NOT NULL,
    due_shard TEXT, due_at REAL, expires_at REAL, PRIMARY KEY (pk, sk)
);
CREATE INDEX IF NOT EXISTS due ON items (due_shard, due_at, pk, sk) WHERE due_shard IS NOT NULL;
CREATE INDEX IF NOT EXISTS expiring ON items (expires_at) WHERE expires_at IS NOT NULL;
"""
SELECT = "SELECT pk, sk, data, version, due_shard, due_at, expires_at FROM items"
INSERT = "INSERT INTO items (data, version, due_shard, due_at, expires_at, pk, sk) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
UPDATE = "UPDATE items SET data = ?, version = ?, due_shard = ?, due_at = ?, expires_at = ? WHERE pk = ? AND sk = ? AND version = ?"
TIDY = "DELETE FROM items WHERE rowid IN (SELECT rowid FROM items WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)"

# Temporary errors: the table is locked or read-only, or the disk is full or failing. A later call may succeed.
PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}

Row = tuple[str, str, str, int, str | None, float | None, float | None]


class SqliteTable:
    """Table port over SQLite.

    path: the file (created with mode 0600, since it contains session tokens); None: in memory. busy_seconds: how long a call waits
    for another process's transaction before it raises Throttled; it waits at most this long for other threads, too. written: called
    with the pk of each item that this table's put or transact wrote.
    """

    def __init__(
        self, path: Path | None, busy_seconds: float = 5, written: Callable[[str], object] = lambda _: None
    ) -> None:
        self._written = written
        self._lock = threading.Lock()
        self._busy_seconds = busy_seconds
        self._connection = _connect(path, busy_seconds)

    def get(self, pk: str, sk: str) -> Item | None:
        check_key(pk, sk)
        with self._use() as connection:
            row: Row | None = connection.execute(f"{SELECT} WHERE pk = ? AND sk = ?", (pk, sk)).fetchone()
        return _item(row) if row else None

    def get_all(self, keys: Sequence[tuple[str, str]]) -> list[Item]:
        check_keys(keys)
        with self._use() as connection:
            rows = [connection.execute(f"{SELECT} WHERE pk = ? AND sk = ?", key).fetchone() for key in keys]
        return [_item(row) for row in rows if row]

    def put(self, item: Item) -> Item:
        text = encode(item)
        with self._use() as connection:
            put = _put(connection, item, text)
        self._written(item.pk)
        return put

    def delete(self, item: Item) -> None:
        check_key(item.pk, item.sk)
        with self._transaction() as connection:
            present = connection.execute("SELECT 1 FROM items WHERE pk = ? AND sk = ?", (item.pk, item.sk)).fetchone()
            if present:
                _delete(connection, item)

    def transact(self, changes: Sequence[Item | Delete]) -> None:
        texts = encode_all(changes)
        with self._transaction() as connection:
            for change, text in zip(changes, texts, strict=True):
                if isinstance(change, Delete):
                    _delete(connection, change.item)
                else:
                    _put(connection, change, text)
        for change in changes:
            self._written(change.item.pk if isinstance(change, Delete) else change.pk)

    def query(self, pk: str, prefix: str = "", after: str = "", limit: int = 100) -> list[Item]:
        check_query(pk, prefix, after, limit)
        # Keys with the prefix are adjacent: read from the prefix on and stop at the first other key.
        start, comparison = (after, ">") if after >= prefix else (prefix, ">=")
        statement = f"{SELECT} WHERE pk = ? AND sk {comparison} ? ORDER BY sk LIMIT ?"
        with self._use() as connection:
            rows: list[Row] = connection.execute(statement, (pk, start, limit)).fetchall()
        return list(takewhile(lambda item: item.sk.startswith(prefix), map(_item, rows)))

    def due(self, shard: str, now: float, limit: int = 100) -> list[Item]:
        check_limit(limit)
        statement = f"{SELECT} WHERE due_shard = ? AND due_at <= ? ORDER BY due_at, pk, sk LIMIT ?"
        with self._use() as connection:
            rows: list[Row] = connection.execute(statement, (shard, now, limit)).fetchall()
        return [_item(row) for row in rows]

    def tidy(self, now: float, limit: int = 1000) -> int:
        """Remove at most `limit` expired items, as DynamoDB does automatically. Return their number. Raises Throttled."""
        with self._use() as connection:
            return connection.execute(TIDY, (now, limit)).rowcount

    def close(self) -> None:
        """Close the connection. No call may follow, except another close."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _use(self) -> Iterator[sqlite3.Connection]:
        if not self._lock.acquire(timeout=self._busy_seconds):
            raise Throttled
        try:
            yield self._connection
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in PASSING:  # the low byte is the kind, the rest its detail
                raise Throttled from error
            raise
        finally:
            self._lock.release()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._use() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:  # not committed; some errors end the transaction by themselves
                    connection.execute("ROLLBACK")


def _connect(path: Path | None, busy_seconds: float) -> sqlite3.Connection:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)  # the -wal and -shm files beside it take its mode
    connection = sqlite3.connect(
        path or ":memory:", timeout=busy_seconds, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _put(connection: sqlite3.Connection, item: Item, text: str) -> Item:
    written = replace(item, version=fresh_version())
    values = (text, written.version, item.due_shard, item.due_at, item.expires_at, item.pk, item.sk)
    if item.version == 0:
        changed = connection.execute(INSERT, values).rowcount
    else:
        changed = connection.execute(UPDATE, (*values, item.version)).rowcount
    if changed == 0:
        raise Stale
    return written


def _delete(connection: sqlite3.Connection, item: Item) -> None:
    """Delete an item in a transaction: an item read as absent (version 0) must still be absent, any other must be present."""
    if item.version == 0:
        if connection.execute("SELECT 1 FROM items WHERE pk = ? AND sk = ?", (item.pk, item.sk)).fetchone():
            raise Stale
        return
    statement = "DELETE FROM items WHERE pk = ? AND sk = ? AND version = ?"
    if connection.execute(statement, (item.pk, item.sk, item.version)).rowcount == 0:
        raise Stale


def _item(row: Row) -> Item:
    pk, sk, text, version, due_shard, due_at, expires_at = row
    return Item(pk, sk, json.loads(text), version, due_shard, due_at, expires_at)
