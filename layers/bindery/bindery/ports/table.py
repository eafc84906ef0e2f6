"""The table port."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Item:
    """One record. data: JSON values; at most 300 kB.

    version 0: not stored yet; others mean nothing but themselves.
    due_shard and due_at go together: they put the item into the due index.
    due_at, expires_at: UTC seconds. An item past expires_at may still be read: readers compare times.
    """

    pk: str
    sk: str
    data: Json = field(default_factory=dict)
    version: int = 0
    due_shard: str | None = None
    due_at: float | None = None
    expires_at: float | None = None

    def with_data(self, data: Json) -> "Item":
        """The same item with other data, its version kept for the next put."""
        return replace(self, data=data)


@dataclass(frozen=True)
class Delete:
    """In a transaction: remove the item, if its stored version is the one it was read with."""

    item: Item


class Table(Protocol):
    """Items under string keys, each with a version: the only place where state lives.

    get: the item, or None. Consistent: sees every put that returned before.
    get_all: the items that exist of 0 to 100 different keys (pk, sk), in any order. Each is read as by `get`; not all at one moment.
    put: writes if the stored version is the one that `item` was read with (0: absent); else raises Stale, writes nothing.
        Answers the item with its new version.
    delete: removes the item if its stored version is the one it was read with; else raises Stale. An absent item is no error.
    transact: all of 1 to 100 puts and deletes (each key once, 4 MB in all), or none: Stale if any version is not the one read;
        here, unlike in delete, an item that is gone counts as changed.
    query: items of one pk whose sk starts with `prefix` and comes after `after`, in the order of sk, at most `limit`. Consistent.
    due: at most `limit` items of one shard whose `due_at` is at or before `now`, oldest first; may lag behind puts.
    Every call may raise Throttled (retryable): nothing was written.
    """

    def get(self, pk: str, sk: str) -> Item | None: ...
    def get_all(self, keys: Sequence[tuple[str, str]]) -> list[Item]: ...
    def put(self, item: Item) -> Item: ...
    def delete(self, item: Item) -> None: ...
    def transact(self, changes: Sequence[Item | Delete]) -> None: ...
    def query(self, pk: str, prefix: str = "", after: str = "", limit: int = 100) -> list[Item]: ...
    def due(self, shard: str, now: float, limit: int = 100) -> list[Item]: ...
