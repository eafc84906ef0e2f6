"""Store of sessions in the table. A record is written before any object is created; after the end, a tombstone remains for 15 days."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from bindery.domain.access_policy import Limits
from bindery.domain.errors import SessionEnded, Stale, Throttled
from bindery.domain.launch import Launch
from bindery.domain.owners import owner_of
from bindery.domain.sessions import Session, SessionState
from bindery.ports.clock import Clock
from bindery.ports.table import Item, Table
from bindery.state.due_index import FOREVER, due, due_shard
from bindery.state.launches import CONFLICTS, Launches
from bindery.state.quotas import Quotas

TOMBSTONE_SECONDS = 15 * 86400  # queues keep messages for 14 days at most
START_SECONDS = 900
"""Time from the reservation until the session is due for a check."""
STOPPING_OR_ENDED = frozenset({SessionState.STOPPING, SessionState.ENDED})
MAX_DUE = 5000
"""Limit of sessions that one read returns from each shard of the index."""
MAX_IN_TRANSACTION = 100
"""Limit of items in one transaction."""


@dataclass(frozen=True)
class ReadSession:
    """Session as it was read from the table. The record may have changed since then.

    version: the version of the record. A write with it fails if the record has changed. due_at: UTC seconds; due for a check since then.
    """

    session: Session
    version: int
    due_at: float


@dataclass(frozen=True)
class Sessions:
    """Store of sessions. Each session is one item. The counters of its places change in the transaction that reserves or ends it."""

    table: Table
    clock: Clock
    quotas: Quotas

    def find(self, session: str) -> Session | None:
        """Return the session or None, with a consistent read."""
        item = self.table.get(f"session#{session}", "session")
        return Session.model_validate(item.data) if item else None

    def reserve(self, launch: Launch, limits: Limits) -> Session:
        """Return the launch's session; reserve it if it does not exist. Raises SessionEnded, and the errors of Quotas.take."""
        for _ in range(CONFLICTS):
            existing = self.find(launch.id)
            if existing:
                if existing.state in STOPPING_OR_ENDED:
                    raise SessionEnded(reason=existing.reason)
                return existing
            repository_owner = owner_of(launch.provider, launch.repo_url)
            counters = self.quotas.take(launch.repo_url, limits, repository_owner, launch.client)
            session = Session(
                id=launch.id,
                owner=launch.owner,
                token=self.clock.random_id(24),
                repo_url=launch.repo_url,
                client=launch.client,
                state=SessionState.STARTING,
                created_at=self.clock.now(),
                places=tuple((item.pk, item.sk) for item in counters),
            )
            try:
                self.table.transact([self._item(session, 0, START_SECONDS), *counters])
            except Stale:
                continue
            return session
        raise Stale

    def mark_running(
        self, launches: Launches, session: Session, ready: Callable[[Launch], Launch | None], due_in: float
    ) -> Launch | None:
        """Write the session as running and the launch as ready, in one transaction. Return the launch.

        session: with its new state. ready: returns the changed launch, or None if the launch does not need the session any more; then
        nothing is written, and the result is None. Raises SessionEnded if the session is missing, is stopping or has ended.
        """
        for _ in range(CONFLICTS):
            item = self.table.get(f"session#{session.id}", "session")
            if item is None or Session.model_validate(item.data).state in STOPPING_OR_ENDED:
                raise SessionEnded(reason="it was stopped while it started")
            launch_item, now = launches.read(session.id)
            changed = ready(now)
            if changed is None:
                return None
            try:
                self.table.transact(
                    [self._item(session, item.version, due_in), launches.item(changed, launch_item.version)]
                )
            except Stale:
                continue
            return changed
        raise Stale

    def mark_stopping(self, session: str, reason: str) -> Session | None:
        """Mark the session as stopping and return it; None if it is missing or has ended. Visitors are not sent to it any more."""
        for _ in range(CONFLICTS):
            item = self.table.get(f"session#{session}", "session")
            if item is None:
                return None
            now = Session.model_validate(item.data)
            if now.state is SessionState.ENDED:
                return None
            if now.state is SessionState.STOPPING:
                return now
            marked = now.model_copy(update={"state": SessionState.STOPPING, "reason": reason})
            try:
                self.table.put(self._item(marked, item.version, 60))
            except Stale:
                continue
            return marked
        raise Stale

    def mark_ended(self, session: str) -> None:
        """Replace the record by a tombstone and return the places to the quotas. Idempotent."""
        for _ in range(CONFLICTS):
            item = self.table.get(f"session#{session}", "session")
            if item is None:
                return
            now = Session.model_validate(item.data)
            if now.state is SessionState.ENDED:
                return
            ended = now.model_copy(update={"state": SessionState.ENDED, "token": ""})
            until = self.clock.now() + TOMBSTONE_SECONDS
            tombstone = Item(item.pk, item.sk, ended.model_dump(mode="json"), item.version, expires_at=until)
            try:
                self.table.transact([tombstone, *self.quotas.give_back(now.places)])
            except Stale:
                continue
            return
        raise Stale

    def record_checks(self, checks: Sequence[ReadSession], due_in: float) -> None:
        """Store the results of session checks. A record that has changed since it was read is not written."""
        for start in range(0, len(checks), MAX_IN_TRANSACTION):
            batch = checks[start : start + MAX_IN_TRANSACTION]
            items = [self._item(each.session, each.version, due_in) for each in batch]
            try:
                self.table.transact(items)
            except (Stale, Throttled):  # one item may be the cause, so each is written separately
                for item in items:
                    with suppress(Stale):
                        self.table.put(item)

    def due(self, limit: int = MAX_DUE) -> list[ReadSession]:
        """Return the sessions that are due for a check, longest due first; at most `limit` for each shard. The index may be late."""
        items = sorted(due(self.table, "session", self.clock.now(), limit), key=lambda item: item.due_at or 0)
        return [ReadSession(Session.model_validate(item.data), item.version, item.due_at or 0) for item in items]

    def alive(self, limit: int = MAX_DUE) -> Iterator[Session]:
        """Yield the sessions that have not ended, at most `limit` for each shard."""
        for item in due(self.table, "session", FOREVER, limit):
            yield Session.model_validate(item.data)

    def _item(self, session: Session, version: int, due_in: float) -> Item:
        return Item(
            f"session#{session.id}",
            "session",
            session.model_dump(mode="json"),
            version,
            due_shard=due_shard("session", session.id),
            due_at=self.clock.now() + due_in,
        )
