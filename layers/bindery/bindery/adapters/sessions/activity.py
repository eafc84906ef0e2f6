"""Asks a session's own server: is it this session's, and what did it last do?

What counts as activity is the server's own `last_activity` (requests to its API, except ours; messages of a kernel; what
goes through an open terminal), and the output of terminals that nobody looks at. A kernel that computes is busy, however
silent. A connection that is merely open counts for nothing: a forgotten tab does not keep a session.
The servers belong to visitors, so an answer may be endless, slow or nonsense: size and time are bounded.
"""

import contextlib
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from pydantic import AwareDatetime, BaseModel, TypeAdapter, ValidationError

from bindery.domain.sessions import Activity

AT_ONCE = 16
ANSWER_SECONDS = 8.0
ANSWER_BYTES = 1_000_000
READ_SECONDS, CONNECT_SECONDS = 4.0, 3.0


class NoAnswer(Exception):
    """The server did not answer, or not as a Jupyter server does."""


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


def transport() -> httpx.HTTPTransport:
    """Asks many servers at once. A bare transport follows no redirect, takes nothing from the environment, and above all
    keeps no cookies: on one host they would go from one session to the next."""
    limits = httpx.Limits(max_connections=4 * AT_ONCE, max_keepalive_connections=0)
    return httpx.HTTPTransport(limits=limits, trust_env=False)


def is_session(asking: httpx.HTTPTransport, url: str, token: str, seconds: float = ANSWER_SECONDS) -> bool:
    """Whether this session's server answers there, within `seconds`: it refuses who has no token, and knows the session's.

    Asked without first, so that a program that merely took the port is not shown the token.
    """
    until = time.monotonic() + seconds
    try:
        refused, _ = _get(asking, f"{url}api/status", "", until)
        if refused not in {401, 403}:
            return False
        code, body = _get(asking, f"{url}api/status", token, until)
        ServerStatus.model_validate_json(body)
    except (NoAnswer, ValidationError):
        return False
    return code == 200


def ask(asking: httpx.HTTPTransport, sessions: Mapping[str, tuple[str, str]], now: float) -> dict[str, Activity]:
    """Each session's activity (`id -> (url, token)`); those that did not answer are left out. now: UTC seconds."""
    if not sessions:
        return {}

    def one(session: str) -> Activity | None:
        url, token = sessions[session]
        try:
            return activity_of(asking, url, token, now)
        except (NoAnswer, ValidationError):
            return None

    with ThreadPoolExecutor(min(AT_ONCE, len(sessions))) as threads:
        answers = zip(sessions, threads.map(one, sessions), strict=True)
    return {session: answer for session, answer in answers if answer}


def activity_of(asking: httpx.HTTPTransport, url: str, token: str, now: float) -> Activity:
    """One session's activity. Raises NoAnswer, ValidationError."""
    status = ServerStatus.model_validate_json(_must(asking, f"{url}api/status", token))
    kernels = KERNELS.validate_json(_must(asking, f"{url}api/kernels?no_track_activity=1", token))
    code, body = _get(asking, f"{url}api/terminals?no_track_activity=1", token, time.monotonic() + ANSWER_SECONDS)
    terminals = TERMINALS.validate_json(body) if code == 200 else []  # a server may have none
    moments = [status.last_activity, *(kernel.last_activity for kernel in kernels)]
    moments += [terminal.last_activity for terminal in terminals]
    last = max(moment.timestamp() for moment in moments if moment)
    # A clock that is ahead must not keep a session for ever.
    return Activity(last=min(last, now), busy=any(kernel.execution_state == "busy" for kernel in kernels))


def _must(asking: httpx.HTTPTransport, url: str, token: str) -> bytes:
    code, body = _get(asking, url, token, time.monotonic() + ANSWER_SECONDS)
    if code != 200:
        raise NoAnswer(f"status {code}")
    return body


def _request(url: str, headers: dict[str, str], until: float) -> httpx.Request:
    """Names below `localhost` are this machine (RFC 6761), whether its resolver knows them or not."""
    left = max(until - time.monotonic(), 0.001)
    timeouts = httpx.Timeout(min(READ_SECONDS, left), connect=min(CONNECT_SECONDS, left)).as_dict()
    asked, extensions = httpx.URL(url), {"timeout": timeouts, "trace": _hurrying(until)}
    if not asked.host.endswith(".localhost"):
        return httpx.Request("GET", asked, headers=headers, extensions=extensions)
    here = {**headers, "Host": asked.netloc.decode()}
    return httpx.Request(
        "GET",
        asked.copy_with(host="127.0.0.1"),
        headers=here,
        extensions={**extensions, "sni_hostname": asked.host},
    )


def _hurrying(until: float) -> Callable[[str, dict[str, Any]], None]:
    """Lets no read go on past `until`. A timeout bounds the wait for each piece only, and headers may come byte by byte."""

    def trace(event: str, info: dict[str, Any]) -> None:
        if event not in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            return
        stream = info["return_value"]
        read = stream.read

        def hurried(most_bytes: int, timeout: float | None = None) -> bytes:
            left = until - time.monotonic()
            if left <= 0:
                raise NoAnswer("too long")
            piece: bytes = read(most_bytes, left if timeout is None else min(timeout, left))
            return piece

        stream.read = hurried

    return trace


def _get(asking: httpx.HTTPTransport, url: str, token: str, until: float) -> tuple[int, bytes]:
    """Status code and body. Raises NoAnswer when it lasts past `until` (time.monotonic()) or is larger than the limit."""
    headers = {"Accept-Encoding": "identity", **({"Authorization": f"token {token}"} if token else {})}
    body = b""
    try:
        request = _request(url, headers, until)
        with contextlib.closing(asking.handle_request(request)) as answer:
            for piece in answer.iter_raw():
                body += piece
                if len(body) > ANSWER_BYTES or time.monotonic() > until:
                    raise NoAnswer("too long")
            return answer.status_code, body
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NoAnswer(type(error).__name__) from error
