"""Distribution of keys over shards, so that the writes to one key do not grow with the number of visitors."""

from collections.abc import Iterator
from zlib import crc32

from bindery.ports.table import Item, Table

DUE_SHARDS = 4
FOREVER = 1e12


def shard_of(name: str, shards: int) -> int:
    """Return the shard of a name: always the same one, and evenly distributed over names."""
    return crc32(name.encode("utf-8", "surrogateescape")) % shards


def due_shard(kind: str, name: str) -> str:
    """Return the shard of the due index for a record of this kind."""
    return f"{kind}#{shard_of(name, DUE_SHARDS)}"


def due(table: Table, kind: str, now: float, limit: int) -> Iterator[Item]:
    """Yield the due items of this kind, oldest first in each shard; `limit` applies to each shard."""
    for shard in range(DUE_SHARDS):
        yield from table.due(f"{kind}#{shard}", now, limit)


def pages(table: Table, pk: str, prefix: str = "") -> Iterator[Item]:
    """Yield every item of a query, page by page."""
    for page in whole_pages(table, pk, prefix):
        yield from page


def whole_pages(table: Table, pk: str, prefix: str = "") -> Iterator[list[Item]]:
    """Yield every item of a query, up to 100 at a time."""
    after = ""
    while items := table.query(pk, prefix, after):
        yield items
        after = items[-1].sk
