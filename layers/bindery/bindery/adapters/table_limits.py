"""Rules shared by all tables: data as JSON text, opaque versions, and the limits of the strictest table.

Code that works on one machine therefore works on AWS. Each refusal raises ValueError: it is a mistake in the program, never the
table's state, and no item was written.
"""

import json
import math
import secrets
from collections.abc import Sequence

from bindery.ports.table import Delete, Item, Json

MAX_DATA = 300 * 1024
MAX_TRANSACTION = 4_000_000
MAX_CHANGES = 100
MAX_READS = 100
MAX_PK = 2048
MAX_SK = 1024


def fresh_version() -> int:
    """Return a new random version. It distinguishes a recreated item from the item that was read before.

    It also lets a writer recognize its own write after a lost response.
    """
    return secrets.randbits(52) + 1


def check_key(pk: str, sk: str) -> None:
    """Raise ValueError for keys that DynamoDB refuses: empty ones, or more than 2048 (pk) or 1024 (sk) bytes of UTF-8."""
    if not 0 < len(pk.encode()) <= MAX_PK or not 0 < len(sk.encode()) <= MAX_SK:
        raise ValueError(f"keys have 1 to {MAX_PK} (pk) and 1 to {MAX_SK} (sk) bytes")


def check_keys(keys: Sequence[tuple[str, str]]) -> None:
    """Raise ValueError for more than 100 keys, a duplicate key, or a key that `check_key` refuses."""
    if len(keys) > MAX_READS or len(set(keys)) != len(keys):
        raise ValueError(f"at most {MAX_READS} items are read together, each once")
    for pk, sk in keys:
        check_key(pk, sk)


def check_limit(limit: int) -> None:
    """Raise ValueError for a limit below 1."""
    if limit < 1:
        raise ValueError("limit must be at least 1")


def check_query(pk: str, prefix: str, after: str, limit: int) -> None:
    """Raise ValueError for keys that no item can have, and for a limit below 1. `prefix` and `after` may be empty."""
    check_key(pk, prefix or "any")
    check_key(pk, after or "any")
    check_limit(limit)


def encode(item: Item) -> str:
    """Return the item's data as JSON text. Raises ValueError if the item cannot be stored."""
    check_key(item.pk, item.sk)
    if (item.due_shard is None) != (item.due_at is None) or item.due_shard == "":
        raise ValueError("due_shard and due_at go together, and due_shard is not empty")
    if not all(math.isfinite(time) for time in (item.due_at, item.expires_at) if time is not None):
        raise ValueError("due_at and expires_at are finite")
    text = _json(item.data)
    if len(text.encode()) > MAX_DATA:
        raise ValueError(f"data has at most {MAX_DATA} bytes as JSON")
    return text


def encode_all(changes: Sequence[Item | Delete]) -> list[str]:
    """Return each change's data as JSON text (empty for deletes). Raises ValueError if the transaction breaks a limit."""
    items = [change.item if isinstance(change, Delete) else change for change in changes]
    if not 1 <= len(items) <= MAX_CHANGES or len({(item.pk, item.sk) for item in items}) != len(items):
        raise ValueError(f"a transaction has 1 to {MAX_CHANGES} changes, each of another item")
    for item in items:
        check_key(item.pk, item.sk)
    texts = ["" if isinstance(change, Delete) else encode(change) for change in changes]
    if sum(len(text.encode()) for text in texts) > MAX_TRANSACTION:
        raise ValueError(f"a transaction has at most {MAX_TRANSACTION} bytes of data")
    return texts


def _json(data: Json) -> str:
    text = json.dumps(dict(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, as in undecodable log lines: only an escape preserves it
        return json.dumps(dict(data), allow_nan=False, separators=(",", ":"))
    return text
