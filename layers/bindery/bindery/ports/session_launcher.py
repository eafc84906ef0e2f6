"""The session launcher port."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from bindery.domain.sessions import Activity, SessionObject, SessionOrder, SessionReport


class SessionLauncher(Protocol):
    """Starts, finds, asks and stops sessions.

    start: begins the session; idempotent by `order.id`: a session that is there already is left as it is.
        Raises ImageGone (or wait tells it); ClusterFull if there is none just now, and nothing was begun; or a Permanent error,
        such as SessionRefused, or that the content cannot be had.
    wait: what became of the session; returns as soon as it is READY or GONE, or something new keeps it from starting (STARTING,
        with the trouble), else STARTING after `seconds`.
        READY only when the session's own server answered as this session (it knows `token`), at its public address.
    ask: each session's activity, asked at its server with its token (`id -> (url, token)`); None: it did not answer. Asks many at
        once, in their order, and begins with none after `seconds`: those are left out.
    stop: afterwards nothing of the session is left, neither processes nor files. One that is gone is no error.
    objects: everything here that bears our mark: sessions that run or start, and, not alive, what is left of others until
        they are stopped.
    Every call may raise LauncherDown; start and stop may have been done all the same.
    """

    def start(self, order: SessionOrder) -> None: ...
    def wait(self, session: str, token: str, seconds: float) -> SessionReport: ...
    def ask(self, sessions: Mapping[str, tuple[str, str]], seconds: float) -> Mapping[str, Activity | None]: ...
    def stop(self, session: str) -> None: ...
    def objects(self) -> Sequence[SessionObject]: ...
