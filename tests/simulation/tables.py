"""The table port: refused, slow, in conflict, done but unanswered; and a due index that lags."""

from collections import Counter, deque
from collections.abc import Callable, Sequence

from bindery.domain.errors import Throttled
from bindery.ports.table import Delete, Item
from tests.fakes.table import DictTable
from tests.simulation.around import Around

Change = Item | Delete
MOST_LAG_SECONDS = 5.0


class SimTable:
    """The table port with faults.

    wrote: called with every change, at the moment when it is made. operations: counted, by their function and their
    kind. writes: by key.
    """

    def __init__(self, around: Around, wrote: Callable[[Change], None]) -> None:
        self.real = DictTable()
        self.operations: Counter[tuple[str, str]] = Counter()
        self.writes: Counter[tuple[str, str]] = Counter()
        self._around, self._wrote = around, wrote
        self._index = LaggingIndex(around)

    def get(self, pk: str, sk: str) -> Item | None:
        self._before("get", pk)
        return self.real.get(pk, sk)

    def get_all(self, keys: Sequence[tuple[str, str]]) -> list[Item]:
        self._before("get_all", " ".join(pk for pk, _ in keys))
        return self.real.get_all(keys)

    def put(self, item: Item) -> Item:
        self._before("put", item.pk)
        self._rival(item)
        written = self.real.put(item)
        self._apply_change(written)
        self._after(f"put {item.pk}")
        return written

    def delete(self, item: Item) -> None:
        self._before("delete", item.pk)
        self.real.delete(item)
        self._apply_change(Delete(item))
        self._after(f"delete {item.pk}")

    def transact(self, changes: Sequence[Change]) -> None:
        pks = " ".join(_item(change).pk for change in changes)
        self._before("transact", pks)
        self._around.trouble("conflicts", Throttled())
        self.real.transact(changes)
        for change in changes:
            self._apply_change(change)
        self._after(f"transact {pks}")

    def query(self, pk: str, prefix: str = "", after: str = "", limit: int = 100) -> list[Item]:
        self._before("query", pk)
        return self.real.query(pk, prefix, after, limit)

    def due(self, shard: str, now: float, limit: int = 100) -> list[Item]:
        self._before("due", shard)
        return self._index.due(shard, now, limit)

    def _before(self, operation: str, keys: str) -> None:
        task = self._around.scheduler.task
        self.operations[task.name.partition(" ")[0] if task else "", operation] += 1
        self._around.before(f"{operation} {keys}")
        self._around.trouble("throttled", Throttled())

    def _after(self, call: str) -> None:
        self._around.after(call)
        self._around.trouble("unanswered", Throttled())

    def _rival(self, item: Item) -> None:
        """Let a rival write the same item again. A caller that read it before is too late now."""
        stored = self.real.get(item.pk, item.sk)
        if stored and stored.version == item.version and self._around.happens("rival_writes"):
            self._around.note(f"a rival writes {item.pk} first")
            self._apply_change(self.real.put(stored))

    def _apply_change(self, change: Change) -> None:
        item = _item(change)
        self.writes[item.pk, item.sk] += 1
        current = self.real.get(item.pk, item.sk) or Delete(item)
        self._index.update(current)
        self._wrote(current)


class LaggingIndex:
    """An index of due items, as it was up to a few seconds ago. Changes become visible in the order in which they
    were made.
    """

    def __init__(self, around: Around) -> None:
        self._around = around
        self._items: dict[str, dict[tuple[str, str], Item]] = {}
        self._shards: dict[tuple[str, str], str] = {}
        self._unseen: deque[tuple[float, Change]] = deque()

    def update(self, change: Change) -> None:
        """Take note of a change that has been made."""
        earliest = self._unseen[-1][0] if self._unseen else 0.0
        lag = self._around.random.random() * MOST_LAG_SECONDS if self._around.happens("index_lags") else 0.0
        self._unseen.append((max(earliest, self._around.now + lag), change))

    def due(self, shard: str, now: float, limit: int) -> list[Item]:
        """Return the due items, as the port does."""
        while self._unseen and self._unseen[0][0] <= self._around.now:
            self._show(self._unseen.popleft()[1])
        there = (item for item in self._items.get(shard, {}).values() if item.due_at is not None and item.due_at <= now)
        return sorted(there, key=lambda item: (item.due_at, item.pk, item.sk))[:limit]

    def _show(self, change: Change) -> None:
        item = _item(change)
        key = (item.pk, item.sk)
        old = self._shards.pop(key, None)
        if old is not None:
            self._items[old].pop(key, None)
        if isinstance(change, Item) and change.due_shard is not None:
            self._shards[key] = change.due_shard
            self._items.setdefault(change.due_shard, {})[key] = change


def _item(change: Change) -> Item:
    return change.item if isinstance(change, Delete) else change
