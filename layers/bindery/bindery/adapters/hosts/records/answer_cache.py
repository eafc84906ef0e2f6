"""What hosts of records answered, kept in the table for as long as it holds: a published version never changes, what is newest does."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from bindery.adapters.http.single_flight import SingleFlight
from bindery.domain.errors import Stale, Throttled
from bindery.ports.clock import Clock
from bindery.ports.table import Item, Table

VERSION_SECONDS: Final = 24 * 3600
"""A published version never changes, but it may be withdrawn."""
NEWEST_SECONDS: Final = 5 * 60
KEPT: Final = f"version: {VERSION_SECONDS // 3600} hours; number of the newest: {NEWEST_SECONDS // 60} minutes"

Known = TypeVar("Known")


@dataclass(frozen=True)
class Answer(Generic[Known]):
    """seconds: how long it holds; 0: it is not kept."""

    known: Known
    seconds: float


class KeptAnswers(Generic[Known]):
    """One kind of answer of one host. place: names both, so that no other's answers are taken for its.

    Nobody asks for what is kept, and of those who ask at once for the same only one. Failures are not kept.
    """

    def __init__(self, table: Table, clock: Clock, place: str, kind: type[Known]) -> None:
        self._table = table
        self._clock = clock
        self._pk = f"answer#{place}"
        self._kind = TypeAdapter(kind)
        self._flights = SingleFlight[Known]()

    def known(self, question: str) -> Known | None:
        """What is kept and still holds. Raises Throttled."""
        return self._read(self._kept(question))

    def of(self, question: str, ask: Callable[[], Answer[Known]]) -> Known:
        """What is kept, else what `ask` answers. question: in one spelling. Raises what `ask` does, and Throttled."""
        return self._flights.one(question, lambda: self._of(question, ask))

    def _of(self, question: str, ask: Callable[[], Answer[Known]]) -> Known:
        kept = self._kept(question)
        known = self._read(kept)
        if known is not None:
            return known
        answer = ask()
        if answer.seconds:
            self._keep(kept, answer)
        return answer.known

    def _kept(self, question: str) -> Item:
        sk = hashlib.sha256(question.encode()).hexdigest()  # a question may be longer than a key of the table
        return self._table.get(self._pk, sk) or Item(self._pk, sk)

    def _read(self, item: Item) -> Known | None:
        if (item.expires_at or 0) <= self._clock.now():
            return None
        try:
            return self._kind.validate_python(item.data)
        except ValidationError:  # as another version of this program kept it
            return None

    def _keep(self, kept: Item, answer: Answer[Known]) -> None:
        data = self._kind.dump_python(answer.known, mode="json")
        until = self._clock.now() + answer.seconds
        with suppress(Stale, Throttled):  # somebody else has just kept the same, or the next one will
            self._table.put(Item(kept.pk, kept.sk, data, kept.version, expires_at=until))
