"""Asks a session's own server: is it this session's, and what did it last do?

What counts as activity is the server's own `last_activity` (requests to its API, except ours; messages of a kernel; what
goes through an open terminal), and the output of terminals that nobody looks at. A kernel that computes is busy, however
silent. A connection that is merely open counts for nothing. A tab in front of somebody does: JupyterLab asks for kernels and
terminals every ten seconds while it is seen, which is how who reads is told from who has left; in the background it does not ask.
The servers belong to visitors, so an answer may be endless, slow or nonsense: size and time are bounded.
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
    """What `/api/status` says."""

    started: AwareDatetime
    last_activity: AwareDatetime


class Kernel(BaseModel):
    """What `/api/kernels` says of each."""

    execution_state: str
    last_activity: AwareDatetime | None = None


class Terminal(BaseModel):
    """What `/api/terminals` says of each."""

    last_activity: AwareDatetime | None = None


KERNELS = TypeAdapter(list[Kernel])
TERMINALS = TypeAdapter(list[Terminal])


def is_session(url: str, token: str, seconds: float = ANSWER_SECONDS) -> bool:
    """Whether this session's server answers there: it refuses who has no token, and knows the session's.

    Asked without first, so that a program that merely took the port is not shown the token.
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


def ask(sessions: Mapping[str, tuple[str, str]], seconds: float, now: float) -> dict[str, Activity | None]:
    """Each session's activity (`id -> (url, token)`); None for one that did not answer. Those whose turn did not come within
    `seconds` are left out. now: UTC seconds."""
    answers: dict[str, Activity | None] = {}
    waiting, turn, until = iter(sessions.items()), threading.Lock(), time.monotonic() + seconds

    def go_on() -> None:
        while time.monotonic() < until:
            with turn:
                given = next(waiting, None)
            if given is None:
                return
            session, (url, token) = given
            answers[session] = _activity(url, token, now)

    if sessions:
        at_once = min(AT_ONCE, len(sessions))
        with ThreadPoolExecutor(at_once) as threads:
            for done in [threads.submit(go_on) for _ in range(at_once)]:
                done.result()
    return answers


def _activity(url: str, token: str, now: float) -> Activity | None:
    """One session's activity, if it answers."""
    try:
        with Server(url, ANSWER_SECONDS) as server:
            status = ServerStatus.model_validate_json(server.must("api/status", token))
            kernels = KERNELS.validate_json(server.must("api/kernels?no_track_activity=1", token))
            code, body = server.get("api/terminals?no_track_activity=1", token)
        terminals = TERMINALS.validate_json(body) if code == 200 else []  # a server may have none
    except (NoAnswer, ValidationError):
        return None
    moments = [status.last_activity, *(kernel.last_activity for kernel in kernels)]
    moments += [terminal.last_activity for terminal in terminals]
    last = max(moment.timestamp() for moment in moments if moment)
    # A clock that is ahead must not keep a session for ever.
    return Activity(last=min(last, now), busy=any(kernel.execution_state == "busy" for kernel in kernels))
