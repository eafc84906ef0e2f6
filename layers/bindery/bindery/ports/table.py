"""The table port."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Item:
    """Record of the table. data: JSON values; at most 300 kB.

    version: 0 if the item is not stored yet. Other values can only be compared for equality.
    due_shard and due_at are set together: they put the item into the due index.
    due_at, expires_at: UTC seconds. A read may return an item after its expires_at: readers compare times.
    """

    pk: str
    sk: str
    data: Json = field(default_factory=dict)
    version: int = 0
    due_shard: str | None = None
    due_at: float | None = None
    expires_at: float | None = None

    def with_data(self, data: Json) -> "Item":
        """Return the item with other data and the same version, for the next put."""
        return replace(self, data=data)


@dataclass(frozen=True)
class Delete:
    """Deletion in a transaction: removes the item if its stored version is the version that was read."""

    item: Item


class Table(Protocol):
    """Table of items with string keys and versions. It holds all state.

    get: returns the item, or None. Consistent: it sees every put that returned before.
    get_all: returns the items that exist for 0 to 100 different keys (pk, sk), in any order. It reads each item as `get` does, but not
        all of them at one moment.
    put: writes the item if the stored version is the version that was read (0: absent). Otherwise it raises Stale and writes no data.
        Returns the item with its new version.
    delete: removes the item if its stored version is the version that was read; otherwise raises Stale. An absent item is no error.
    transact: applies 1 to 100 puts and deletes together (each key once, 4 MB in total), or raises Stale if a version differs from the
        version that was read. In contrast to delete, a missing item counts as changed.
    query: returns at most `limit` items of one pk with an sk that starts with `prefix` and sorts after `after`, ordered by sk. Consistent.
    due: returns at most `limit` items of one shard with a `due_at` at or before `now`, oldest first; it may lag behind puts.
    Every call may raise Throttled (retryable); the table is unchanged then.
    """

    def get(self, pk: str, sk: str) -> Item | None: ...
    def get_all(self, keys: Sequence[tuple[str, str]]) -> list[Item]: ...
    def put(self, item: Item) -> Item: ...
    def delete(self, item: Item) -> None: ...
    def transact(self, changes: Sequence[Item | Delete]) -> None: ...
    def query(self, pk: str, prefix: str = "", after: str = "", limit: int = 100) -> list[Item]: ...
    def due(self, shard: str, now: float, limit: int = 100) -> list[Item]: ...
