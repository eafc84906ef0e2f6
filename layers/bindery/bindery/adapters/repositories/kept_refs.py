"""What each ref led to when its host was last asked, with the ETag: what has not changed is not sent again, nor counted."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from bindery.adapters.repositories.flights import Flights
from bindery.adapters.repositories.host_api import ApiAnswer
from bindery.adapters.repositories.refs import COMMIT
from bindery.domain.errors import Stale, Throttled
from bindery.ports.clock import Clock
from bindery.ports.table import Item, Table

KEPT_SECONDS: Final = 30 * 24 * 3600
KEPT: Final = (
    f"what a ref led to, {KEPT_SECONDS // 86400} days; each launch asks whether it changed, but for a full commit id"
)

Facts = Mapping[str, str]


class KeptRefs:
    """A provider's refs in the table. place: the provider's id and its API's host, so that no other's answers are taken for its."""

    def __init__(self, table: Table, clock: Clock, place: str) -> None:
        self._table = table
        self._clock = clock
        self._pk = f"ref#{place}"
        self._flights = Flights[Facts | None]()

    def facts(
        self,
        repository: str,
        ref: str,
        ask: Callable[[str], ApiAnswer],
        read: Callable[[bytes], dict[str, str]],
        good: Callable[[Facts], bool] = lambda _: True,
    ) -> Facts | None:
        """What the ref leads to, None if the host knows no such ref. What a full commit id names never changes: asked once.

        repository: in one spelling. ask: given the ETag of what is kept, or "". read: the facts in an answer's body, `commit` among them.
        good: whether what is kept may be used.
        """
        key = f"{repository}/{ref}"
        return self._flights.one(key, lambda: self._facts(key, ref, ask, read, good))

    def _facts(
        self,
        key: str,
        ref: str,
        ask: Callable[[str], ApiAnswer],
        read: Callable[[bytes], dict[str, str]],
        good: Callable[[Facts], bool],
    ) -> Facts | None:
        kept = self._kept(key)
        known = {name: str(fact) for name, fact in kept.data.items()}
        if not good(known):
            known = {}
        if known and COMMIT.fullmatch(ref):
            return known
        answer = ask(known.get("etag", ""))
        if answer.unchanged:
            return known
        if answer.body is None:
            return None
        found = read(answer.body)
        self._keep(kept, {**found, "etag": answer.etag})
        return found

    def _kept(self, key: str) -> Item:
        """The item; without data if there is none, or none that is still good."""
        item = self._table.get(self._pk, key)
        if item is None or (item.expires_at or 0) < self._clock.now():
            return Item(self._pk, key, version=item.version if item else 0)
        return item

    def _keep(self, item: Item, facts: Facts) -> None:
        kept = Item(item.pk, item.sk, dict(facts), item.version, expires_at=self._clock.now() + KEPT_SECONDS)
        with suppress(Stale, Throttled):  # somebody else has just kept the same, or the next one will
            self._table.put(kept)
