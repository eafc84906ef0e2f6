"""Leftovers of a Bindery at rest on this machine: they belong to no running session and to no environment."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.serving.runtime import LocalRuntime, until

MARK = b"BINDERY_SESSION="


def check_at_rest(bindery: LocalRuntime, seconds: float = 30) -> None:
    """Check that soon no leftovers exist, no work is under way, and the number of counted sessions is right."""
    with suppress(TimeoutError):
        until(lambda: not _wrong(bindery), seconds)
    assert _wrong(bindery) == []


def _wrong(bindery: LocalRuntime) -> list[str]:
    counted, runs = int(bindery.total("bindery_sessions")), len(running(bindery))
    busy = [name for name in ("launches", "builds") if bindery.total(f"binderhub_inprogress_{name}")]
    return [*left_over(bindery), *busy, *([] if counted == runs else [f"{counted} sessions counted, {runs} run"])]


def left_over(bindery: LocalRuntime) -> list[str]:
    """Describe leftover processes, folders and files; return an empty list if all is well.

    Only for a Bindery at rest: a launch under way has such files.
    """
    builds = [f"process {pid} of a build: {command}" for pid, command in bindery.builds().items()]
    return [*_of_sessions(bindery), *builds, *_of_environments(bindery), *_aside(bindery)]


def running(bindery: LocalRuntime) -> set[str]:
    """Return the ids of the sessions that have a keeper."""
    keepers = {pid for pid, command in bindery.sessions().items() if "process/session_reaper.py" in command}
    return {session for pid, session in marked(bindery).items() if pid in keepers}


def marked(bindery: LocalRuntime) -> dict[int, str]:
    """Return sessions' ids by the numbers of their processes."""
    sessions = {}
    for pid in bindery.sessions():
        with suppress(OSError):
            for pair in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                if pair.startswith(MARK):
                    sessions[pid] = pair.decode().rpartition(":")[2]
    return sessions


def _of_sessions(bindery: LocalRuntime) -> Iterator[str]:
    sessions = running(bindery)
    yield from (
        f"process {pid} of a session without a keeper"
        for pid, session in marked(bindery).items()
        if session not in sessions
    )
    yield from (
        f"session {name}: only its folder or its processes" for name in set(bindery.session_folders()) ^ sessions
    )
    for path in bindery.temporary.iterdir():
        if path.name.rpartition("-")[2] not in sessions:
            yield f"temporary {path.name}"


def _of_environments(bindery: LocalRuntime) -> Iterator[str]:
    """Describe leftovers of environments. A small file counts for each environment: it says ready, or failed."""
    records = list((bindery.home / "environments").iterdir())
    ready = {path.name.removesuffix(".json") for path in records if path.suffix == ".json"}
    failed = {path.name.removesuffix(".failed") for path in records if path.suffix == ".failed"}
    allowed = {f"{name}.json" for name in ready} | {f"{name}.failed" for name in failed}
    allowed |= {f"{name}.lock" for name in ready | failed}
    yield from (f"environments/{path.name}" for path in records if path.name not in allowed)
    yield from (f"store/{path.name}" for path in (bindery.home / "store").iterdir() if path.name not in ready)


def _aside(bindery: LocalRuntime) -> Iterator[str]:
    """Describe files that were being written beside their place when their writer ended."""
    for folder in (bindery.home, *(bindery.home / "repositories").glob("*")):
        for path in folder.iterdir():
            if path.name.startswith(".") or path.name.endswith(".new"):
                yield str(path.relative_to(bindery.home))
