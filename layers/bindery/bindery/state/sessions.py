"""Store of sessions in the table: a record is written before any object exists, and a tombstone stays after the end."""

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
ENDING = frozenset({SessionState.STOPPING, SessionState.ENDED})
MOST_DUE = 5000
MOST_CHANGES = 100
"""Limit of sessions in one transaction."""


@dataclass(frozen=True)
class Found:
    """Session as it was read, maybe some time ago. version: the version of its record; a later change of the record is detected by it.

    due_at: the time since which it is due, UTC seconds.
    """

    session: Session
    version: int
    due_at: float


@dataclass(frozen=True)
class Sessions:
    """Store of sessions. Each session is one item. Its state and the counters of its places change in one transaction."""

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
                if existing.state in ENDING:
                    raise SessionEnded(reason=existing.reason)
                return existing
            owner = owner_of(launch.provider, launch.repo_url)
            counters = self.quotas.take(launch.repo_url, limits, owner, launch.client)
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

    def open(
        self, launches: Launches, session: Session, ready: Callable[[Launch], Launch | None], due_in: float
    ) -> Launch | None:
        """Write the session as running and the launch as ready, in one transaction. Return None if the launch does not need it any more.

        Raises SessionEnded if the session is stopping or has ended.
        """
        for _ in range(CONFLICTS):
            item = self.table.get(f"session#{session.id}", "session")
            if item is None or Session.model_validate(item.data).state in ENDING:
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

    def stopping(self, session: str, reason: str) -> Session | None:
        """Mark the session as stopping and return it; None if it is missing or has ended. No visitor is redirected to it any more."""
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

    def ended(self, session: str) -> None:
        """Write the tombstone and free the places. Idempotent."""
        for _ in range(CONFLICTS):
            item = self.table.get(f"session#{session}", "session")
            if item is None:
                return
            now = Session.model_validate(item.data)
            if now.state is SessionState.ENDED:
                return
            over = now.model_copy(update={"state": SessionState.ENDED, "token": ""})
            until = self.clock.now() + TOMBSTONE_SECONDS
            grave = Item(item.pk, item.sk, over.model_dump(mode="json"), item.version, expires_at=until)
            try:
                self.table.transact([grave, *self.quotas.give_back(now.places)])
            except Stale:
                continue
            return
        raise Stale

    def record_checks(self, checks: Sequence[Found], due_in: float) -> None:
        """Store the results of session checks. A record that was changed since its session was read stays as it is."""
        for start in range(0, len(checks), MOST_CHANGES):
            batch = checks[start : start + MOST_CHANGES]
            items = [self._item(each.session, each.version, due_in) for each in batch]
            try:
                self.table.transact(items)
            except (Stale, Throttled):  # one item may be the reason, so each is written separately
                for item in items:
                    with suppress(Stale):
                        self.table.put(item)

    def due(self, limit: int = MOST_DUE) -> list[Found]:
        """Return candidates for a check, longest due first. The caller checks each again. limit: applies to each shard of the index."""
        items = sorted(due(self.table, "session", self.clock.now(), limit), key=lambda item: item.due_at or 0)
        return [Found(Session.model_validate(item.data), item.version, item.due_at or 0) for item in items]

    def alive(self, limit: int = MOST_DUE) -> Iterator[Session]:
        """Yield every session in the due index; ended sessions are not in it."""
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
