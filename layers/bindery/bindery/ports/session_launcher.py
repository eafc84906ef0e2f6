"""The session launcher port."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from bindery.domain.sessions import Activity, SessionObject, SessionOrder, SessionReport


class SessionLauncher(Protocol):
    """Launcher that starts, lists, polls and stops sessions.

    start: starts the session; idempotent by `order.id`: an existing session stays as it is.
        Raises ImageGone (or wait reports it). Raises ClusterFull if the cluster has no place now; no object was created then. Raises a
        Permanent error, such as SessionRefused or the error that its content is unavailable.
    wait: returns the session's state as soon as it is READY or GONE, or as soon as a new problem keeps it from starting (STARTING,
        with the trouble); otherwise STARTING after `seconds`.
        READY requires that the session's own server has answered as this session (it knows `token`), at its public address.
    activity: requests each session's activity from its server with its token (`id -> (url, token)`); None: the server did not answer. Sends
        many requests at once, in the given order. After `seconds` it sends no more requests; the remaining sessions are left out.
    stop: removes the session's processes and files completely. A missing session is no error.
    list_sessions: returns all objects with Bindery's label: sessions that run or start, and, with alive=False, the remains of other
        sessions until they are stopped.
    Every call may raise LauncherDown; start and stop may have taken effect anyway.
    """

    def start(self, order: SessionOrder) -> None: ...
    def wait(self, session: str, token: str, seconds: float) -> SessionReport: ...
    def activity(self, sessions: Mapping[str, tuple[str, str]], seconds: float) -> Mapping[str, Activity | None]: ...
    def stop(self, session: str) -> None: ...
    def list_sessions(self) -> Sequence[SessionObject]: ...
