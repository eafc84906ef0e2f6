"""Compare the counters of places with the sessions that hold them. A difference that a later sweep finds again is corrected."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from bindery.domain.errors import Stale
from bindery.domain.sessions import Session
from bindery.ports.table import Item, Table
from bindery.state.quotas import Quotas

APART_SECONDS = 30


@dataclass(frozen=True)
class RecountQuotas:
    """Corrector of the counters of places.

    The list of sessions may lag behind the counters, so one look proves no error. Any change in between starts over.
    """

    table: Table
    quotas: Quotas

    def __call__(self, alive: Iterable[Session]) -> None:
        """Correct the counters. alive: every session that has not ended, as listed a moment ago."""
        held = Counter(place for session in alive for place in session.places)
        counters = {(item.pk, item.sk): item for item in self.quotas.counters()}
        for pk, sk in held:
            if (pk, sk) not in counters and (item := self.table.get(pk, sk)):
                counters[pk, sk] = item
        for place, item in counters.items():
            self._compare(item, held[place])

    def _compare(self, item: Item, held: int) -> None:
        if item.data["taken"] == held:
            return
        now, doubted = self.quotas.clock.now(), item.data.get("doubt") == held
        if doubted and now - item.data["since"] < APART_SECONDS:  # a timer may go off twice
            return
        data = {"taken": held} if doubted else {"taken": item.data["taken"], "doubt": held, "since": now}
        try:
            self.table.put(replace(item, data=data, expires_at=None))
        except Stale:
            return
