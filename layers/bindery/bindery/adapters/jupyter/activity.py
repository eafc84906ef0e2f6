"""Requests to a session's server for its identity and its last activity.

Activity is the server's own `last_activity` (requests to its API, except Bindery's; messages of a kernel; data of an open
terminal), and the output of terminals without a viewer. A computing kernel is busy, even without output. An open connection
alone is no activity. A visible browser tab is activity: JupyterLab polls kernels and terminals every ten seconds while the tab is
visible, and stops in the background. This distinguishes a reading visitor from an absent one.
The servers belong to visitors, so a response may be endless, slow or invalid: size and time are bounded.
"""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from pydantic import AwareDatetime, BaseModel, TypeAdapter, ValidationError

from bindery.adapters.jupyter.client import NoAnswer, Server
from bindery.domain.sessions import Activity

AT_ONCE = 64
ANSWER_SECONDS = 8.0


class ServerStatus(BaseModel):
    """Response of `/api/status`."""

    started: AwareDatetime
    last_activity: AwareDatetime


class Kernel(BaseModel):
    """Entry in the response of `/api/kernels`."""

    execution_state: str
    last_activity: AwareDatetime | None = None


class Terminal(BaseModel):
    """Entry in the response of `/api/terminals`."""

    last_activity: AwareDatetime | None = None


KERNELS = TypeAdapter(list[Kernel])
TERMINALS = TypeAdapter(list[Terminal])


def is_session(url: str, token: str, seconds: float = ANSWER_SECONDS) -> bool:
    """Return True if this session's server responds at `url`: it refuses a request without the token, and accepts the token.

    The request without the token comes first: another program at the port never receives the token.
    """
    try:
        with Server(url, seconds) as server:
            refused, _ = server.get("api/status")
            if refused not in {401, 403}:
                return False
            ServerStatus.model_validate_json(server.must("api/status", token))
    except (NoAnswer, ValidationError):
        return False
    return True


def poll(sessions: Mapping[str, tuple[str, str]], seconds: float, now: float) -> dict[str, Activity | None]:
    """Return each session's activity (sessions: `id -> (url, token)`); None for a session that did not respond.

    Sessions that were not requested within `seconds` are missing in the result. now: UTC seconds.
    """
    answers: dict[str, Activity | None] = {}
    waiting, turn, until = iter(sessions.items()), threading.Lock(), time.monotonic() + seconds

    def go_on() -> None:
        while time.monotonic() < until:
            with turn:
                entry = next(waiting, None)
            if entry is None:
                return
            session, (url, token) = entry
            answers[session] = _activity(url, token, now)

    if sessions:
        at_once = min(AT_ONCE, len(sessions))
        with ThreadPoolExecutor(at_once) as threads:
            for done in [threads.submit(go_on) for _ in range(at_once)]:
                done.result()
    return answers


def _activity(url: str, token: str, now: float) -> Activity | None:
    """Return one session's activity; None if it does not respond."""
    try:
        with Server(url, ANSWER_SECONDS) as server:
            status = ServerStatus.model_validate_json(server.must("api/status", token))
            kernels = KERNELS.validate_json(server.must("api/kernels?no_track_activity=1", token))
            code, body = server.get("api/terminals?no_track_activity=1", token)
        terminals = TERMINALS.validate_json(body) if code == 200 else []  # a server may have no terminals
    except (NoAnswer, ValidationError):
        return None
    moments = [status.last_activity, *(kernel.last_activity for kernel in kernels)]
    moments += [terminal.last_activity for terminal in terminals]
    last = max(moment.timestamp() for moment in moments if moment)
    # A server's clock that is ahead must not keep a session forever.
    return Activity(last=min(last, now), busy=any(kernel.execution_state == "busy" for kernel in kernels))
