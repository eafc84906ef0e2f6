"""How keys spread, so that nothing that grows with the number of visitors is written to one of them."""

from collections.abc import Iterator
from zlib import crc32

from bindery.ports.table import Item, Table

DUE_SHARDS = 4
FOREVER = 1e12


def shard_of(name: str, shards: int) -> int:
    """The same shard for the same name, evenly spread."""
    return crc32(name.encode("utf-8", "surrogateescape")) % shards


def due_shard(kind: str, name: str) -> str:
    """Where a record of this kind stands in the due index."""
    return f"{kind}#{shard_of(name, DUE_SHARDS)}"


def due(table: Table, kind: str, now: float, limit: int) -> Iterator[Item]:
    """What of this kind is due, oldest first in each shard; `limit` counts per shard."""
    for shard in range(DUE_SHARDS):
        yield from table.due(f"{kind}#{shard}", now, limit)


def pages(table: Table, pk: str, prefix: str = "") -> Iterator[Item]:
    """Every item of a query, page after page."""
    for page in whole_pages(table, pk, prefix):
        yield from page


def whole_pages(table: Table, pk: str, prefix: str = "") -> Iterator[list[Item]]:
    """Yield every item of a query, up to 100 at a time."""
    after = ""
    while items := table.query(pk, prefix, after):
        yield items
        after = items[-1].sk
