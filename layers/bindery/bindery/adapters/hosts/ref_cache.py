"""What each ref led to when its host was last asked, with the ETag: what has not changed is not sent again, nor counted."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final
from urllib.parse import quote

from bindery.adapters.git.refs import COMMIT
from bindery.adapters.hosts.rest_api import ApiAnswer
from bindery.adapters.http.single_flight import SingleFlight
from bindery.domain.errors import RepositoryNotFound, Stale, Throttled
from bindery.ports.clock import Clock
from bindery.ports.table import Item, Table

KEPT_SECONDS: Final = 30 * 24 * 3600
COMMIT_SECONDS: Final = 24 * 3600
"""What a full commit id names never changes, but its repository may go, or be closed."""
KEPT: Final = (
    f"commit of a ref: {KEPT_SECONDS // 86400} days, checked at each launch; "
    f"full commit id: {COMMIT_SECONDS // 3600} hours, not checked"
)

Facts = Mapping[str, str]


class KeptRefs:
    """A provider's refs in the table. place: its id and its API's address, so that no other's answers are taken for its."""

    def __init__(self, table: Table, clock: Clock, place: str) -> None:
        self._table = table
        self._clock = clock
        self._pk = f"ref#{place}"
        self._flights = SingleFlight[Facts | None]()

    def facts(
        self,
        repository: str,
        ref: str,
        ask: Callable[[str], ApiAnswer],
        read: Callable[[bytes], dict[str, str]],
        good: Callable[[Facts], bool] = lambda _: True,
    ) -> Facts | None:
        """What the ref leads to, None if the host knows no such ref. Nobody is asked for a full commit id that is kept.

        repository: in one spelling. ask: given the ETag of what is kept, or "". read: the facts in an answer's body, `commit` among
        them. good: whether what is kept may be used. When `ask` or `read` raises RepositoryNotFound of one that is gone, nothing of it
        stays kept.
        """
        key = _of(repository) + ref
        return self._flights.one(key, lambda: self._facts(repository, ref, ask, read, good))

    def _facts(
        self,
        repository: str,
        ref: str,
        ask: Callable[[str], ApiAnswer],
        read: Callable[[bytes], dict[str, str]],
        good: Callable[[Facts], bool],
    ) -> Facts | None:
        kept = self._kept(_of(repository) + ref)
        known = {name: str(fact) for name, fact in kept.data.items()}
        if not good(known):
            known = {}
        if known and COMMIT.fullmatch(ref):
            return known
        try:
            answer = ask(known.get("etag", ""))
            found = read(answer.body) if answer.body is not None else None
        except RepositoryNotFound as missing:
            if missing.gone:
                self._forget(repository)
            raise
        if answer.unchanged:
            return known
        if found is not None:
            self._keep(kept, {**found, "etag": answer.etag}, COMMIT_SECONDS if COMMIT.fullmatch(ref) else KEPT_SECONDS)
        return found

    def _kept(self, key: str) -> Item:
        """The item; without data if there is none, or none that is still good."""
        item = self._table.get(self._pk, key)
        if item is None or (item.expires_at or 0) < self._clock.now():
            return Item(self._pk, key, version=item.version if item else 0)
        return item

    def _keep(self, item: Item, facts: Facts, seconds: float) -> None:
        kept = Item(item.pk, item.sk, dict(facts), item.version, expires_at=self._clock.now() + seconds)
        with suppress(Stale, Throttled):  # somebody else has just kept the same, or the next one will
            self._table.put(kept)

    def _forget(self, repository: str) -> None:
        """All that is kept of it. Raises Throttled."""
        last = ""
        while items := self._table.query(self._pk, _of(repository), after=last):
            for item in items:
                with suppress(Stale):  # somebody else has just kept what it is now
                    self._table.delete(item)
            last = items[-1].sk


def _of(repository: str) -> str:
    """How the keys of its refs begin, and no other repository's."""
    return quote(repository, safe="") + "/"
