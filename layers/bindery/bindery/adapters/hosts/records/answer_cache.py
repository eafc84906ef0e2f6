"""Cache of record hosts' answers in the table. A published version never changes; the newest version may change."""

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

Value = TypeVar("Value")


@dataclass(frozen=True)
class Answer(Generic[Value]):
    """Answer of a host. seconds: how long it is valid; 0: it is not cached."""

    known: Value
    seconds: float


class KeptAnswers(Generic[Value]):
    """Cache of one kind of answer of one host. place: names both, so that caches share no entries.

    A cached answer causes no request. Concurrent calls with the same question send one request. Failures are not cached.
    """

    def __init__(self, table: Table, clock: Clock, place: str, kind: type[Value]) -> None:
        self._table = table
        self._clock = clock
        self._pk = f"answer#{place}"
        self._kind = TypeAdapter(kind)
        self._flights = SingleFlight[Value]()

    def known(self, question: str) -> Value | None:
        """Return the cached answer, or None if it is missing or expired. Raises Throttled."""
        return self._read(self._item(question))

    def of(self, question: str, ask: Callable[[], Answer[Value]]) -> Value:
        """Return the cached answer, else the answer of `ask`. Raises the errors of `ask`, and Throttled.

        question: in its canonical spelling.
        """
        return self._flights.run(question, lambda: self._of(question, ask))

    def _of(self, question: str, ask: Callable[[], Answer[Value]]) -> Value:
        item = self._item(question)
        value = self._read(item)
        if value is not None:
            return value
        answer = ask()
        if answer.seconds:
            self._keep(item, answer)
        return answer.known

    def _item(self, question: str) -> Item:
        sk = hashlib.sha256(question.encode()).hexdigest()  # a question may be longer than a table key
        return self._table.get(self._pk, sk) or Item(self._pk, sk)

    def _read(self, item: Item) -> Value | None:
        if (item.expires_at or 0) <= self._clock.now():
            return None
        try:
            return self._kind.validate_python(item.data)
        except ValidationError:  # another version of this program stored it
            return None

    def _keep(self, item: Item, answer: Answer[Value]) -> None:
        data = self._kind.dump_python(answer.known, mode="json")
        until = self._clock.now() + answer.seconds
        with suppress(Stale, Throttled):  # another request has just stored it, or the next one will
            self._table.put(Item(item.pk, item.sk, data, item.version, expires_at=until))
