"""Cache of refs with their ETags. The host does not send an unchanged response again, and does not count it."""

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
"""A full commit id always means the same commit, but its repository may be deleted or become private."""
KEPT: Final = (
    f"commit of a ref: {KEPT_SECONDS // 86400} days, checked at each launch; "
    f"full commit id: {COMMIT_SECONDS // 3600} hours, not checked"
)

Facts = Mapping[str, str]


class KeptRefs:
    """Cache of a provider's refs in the table. place: the provider's id and its API's address, so that caches share no entries."""

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
        """Return the facts about a ref, or None if the host has no such ref. A cached full commit id causes no request.

        repository: in its canonical spelling. ask: called with the ETag of the cached facts, or "". read: returns the facts in a
        response's body, `commit` among them. good: returns True if the cached facts may be used.

        If `ask` or `read` raises RepositoryNotFound for a deleted repository, its cached refs are deleted.
        """
        key = _prefix(repository) + ref
        return self._flights.run(key, lambda: self._facts(repository, ref, ask, read, good))

    def _facts(
        self,
        repository: str,
        ref: str,
        ask: Callable[[str], ApiAnswer],
        read: Callable[[bytes], dict[str, str]],
        good: Callable[[Facts], bool],
    ) -> Facts | None:
        item = self._item(_prefix(repository) + ref)
        cached = {name: str(fact) for name, fact in item.data.items()}
        if not good(cached):
            cached = {}
        if cached and COMMIT.fullmatch(ref):
            return cached
        try:
            answer = ask(cached.get("etag", ""))
            facts = read(answer.body) if answer.body is not None else None
        except RepositoryNotFound as missing:
            if missing.gone:
                self._forget(repository)
            raise
        if answer.unchanged:
            return cached
        if facts is not None:
            self._keep(item, {**facts, "etag": answer.etag}, COMMIT_SECONDS if COMMIT.fullmatch(ref) else KEPT_SECONDS)
        return facts

    def _item(self, key: str) -> Item:
        """Return the cached item, or an item without data if it is missing or expired."""
        item = self._table.get(self._pk, key)
        if item is None or (item.expires_at or 0) < self._clock.now():
            return Item(self._pk, key, version=item.version if item else 0)
        return item

    def _keep(self, item: Item, facts: Facts, seconds: float) -> None:
        entry = Item(item.pk, item.sk, dict(facts), item.version, expires_at=self._clock.now() + seconds)
        with suppress(Stale, Throttled):  # another request has just stored it, or the next one will
            self._table.put(entry)

    def _forget(self, repository: str) -> None:
        """Delete all cached refs of a repository. Raises Throttled."""
        last = ""
        while items := self._table.query(self._pk, _prefix(repository), after=last):
            for item in items:
                with suppress(Stale):  # another request has just stored the current state
                    self._table.delete(item)
            last = items[-1].sk


def _prefix(repository: str) -> str:
    """Return the key prefix of a repository's refs. No other repository's keys start with it."""
    return quote(repository, safe="") + "/"
