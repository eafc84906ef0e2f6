"""A table in a dictionary: pure and deterministic, with a hook through which a simulation can make it fail."""

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count

from bindery.adapters.table_limits import check_key, check_keys, check_limit, check_query, encode, encode_all
from bindery.domain.errors import Stale
from bindery.ports.table import Delete, Item, Table

Before = Callable[[str, Sequence[str]], None]


def _nothing(operation: str, keys: Sequence[str]) -> None: ...


class DictTable:
    """The table port.

    before: called before each operation with the operation's name and the pks (for due: the shard) that it concerns.
    An operation raises the error that `before` raises, for example Throttled, and then writes no item.
    Versions count all writes: 1, 2, 3...
    """

    def __init__(self, before: Before = _nothing) -> None:
        self.before = before
        self._lock = threading.Lock()
        self._versions = count(1)
        self._stored: dict[str, dict[str, tuple[Item, str]]] = defaultdict(dict)
        self._due: dict[str, dict[tuple[str, str], float]] = defaultdict(dict)

    def get(self, pk: str, sk: str) -> Item | None:
        check_key(pk, sk)
        self.before("get", [pk])
        with self._lock:
            found = self._stored[pk].get(sk)
        return _read(found) if found else None

    def get_all(self, keys: Sequence[tuple[str, str]]) -> list[Item]:
        check_keys(keys)
        self.before("get_all", [pk for pk, _ in keys])
        with self._lock:
            found = [self._stored[pk].get(sk) for pk, sk in keys]
        return [_read(each) for each in found if each]

    def put(self, item: Item) -> Item:
        text = encode(item)
        self.before("put", [item.pk])
        with self._lock:
            self._check(item)
            return self._write(item, text)

    def delete(self, item: Item) -> None:
        check_key(item.pk, item.sk)
        self.before("delete", [item.pk])
        with self._lock:
            if item.sk in self._stored[item.pk]:
                self._check(item)
                self._remove(item)

    def transact(self, changes: Sequence[Item | Delete]) -> None:
        texts = encode_all(changes)
        items = [change.item if isinstance(change, Delete) else change for change in changes]
        self.before("transact", [item.pk for item in items])
        with self._lock:
            for item in items:
                self._check(item)
            for change, text in zip(changes, texts, strict=True):
                if isinstance(change, Delete):
                    self._remove(change.item)
                else:
                    self._write(change, text)

    def query(self, pk: str, prefix: str = "", after: str = "", limit: int = 100) -> list[Item]:
        check_query(pk, prefix, after, limit)
        self.before("query", [pk])
        with self._lock:
            found = sorted(sk for sk in self._stored[pk] if sk.startswith(prefix) and sk > after)
            return [_read(self._stored[pk][sk]) for sk in found[:limit]]

    def due(self, shard: str, now: float, limit: int = 100) -> list[Item]:
        check_limit(limit)
        self.before("due", [shard])
        with self._lock:
            found = sorted((at, pk, sk) for (pk, sk), at in self._due[shard].items() if at <= now)
            return [_read(self._stored[pk][sk]) for _, pk, sk in found[:limit]]

    def items(self) -> list[Item]:
        """Return all stored items, for tests that check a whole run. This is not an operation of the port."""
        with self._lock:
            return [_read(found) for stored in self._stored.values() for found in stored.values()]

    def _check(self, item: Item) -> None:
        found = self._stored[item.pk].get(item.sk)
        if (found[0].version if found else 0) != item.version:
            raise Stale

    def _write(self, item: Item, text: str) -> Item:
        self._remove(item)
        written = replace(item, version=next(self._versions))
        self._stored[item.pk][item.sk] = (written, text)
        if item.due_shard is not None and item.due_at is not None:
            self._due[item.due_shard][item.pk, item.sk] = item.due_at
        return written

    def _remove(self, item: Item) -> None:
        found = self._stored[item.pk].pop(item.sk, None)
        if found and found[0].due_shard is not None:
            del self._due[found[0].due_shard][item.pk, item.sk]


def _read(found: tuple[Item, str]) -> Item:
    item, text = found
    return item.with_data(json.loads(text))


def read(table: Table, pk: str, sk: str) -> Item:
    """Return an item that exists."""
    item = table.get(pk, sk)
    assert item is not None
    return item
