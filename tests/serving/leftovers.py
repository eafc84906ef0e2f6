"""What a Bindery at rest has on this machine that belongs to nothing: to no running session and to no environment."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.serving.runtime import LocalRuntime, until

MARK = b"BINDERY_SESSION="


def check_at_rest(bindery: LocalRuntime, seconds: float = 30) -> None:
    """Soon nothing is left over, nothing is under way, and as many sessions are counted as there are."""
    with suppress(TimeoutError):
        until(lambda: not _wrong(bindery), seconds)
    assert _wrong(bindery) == []


def _wrong(bindery: LocalRuntime) -> list[str]:
    counted, runs = int(bindery.total("bindery_sessions")), len(running(bindery))
    busy = [name for name in ("launches", "builds") if bindery.total(f"binderhub_inprogress_{name}")]
    return [*left_over(bindery), *busy, *([] if counted == runs else [f"{counted} sessions counted, {runs} run"])]


def left_over(bindery: LocalRuntime) -> list[str]:
    """Processes, folders and files, in words; empty if all is well. Only at rest: a launch under way has such things."""
    builds = [f"process {pid} of a build: {command}" for pid, command in bindery.builds().items()]
    return [*_of_sessions(bindery), *builds, *_of_environments(bindery), *_aside(bindery)]


def running(bindery: LocalRuntime) -> set[str]:
    """Ids of the sessions that have a keeper."""
    kept = {pid for pid, command in bindery.sessions().items() if "process/session_reaper.py" in command}
    return {session for pid, session in marked(bindery).items() if pid in kept}


def marked(bindery: LocalRuntime) -> dict[int, str]:
    """Sessions' ids by the numbers of their processes."""
    found = {}
    for pid in bindery.sessions():
        with suppress(OSError):
            for pair in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                if pair.startswith(MARK):
                    found[pid] = pair.decode().rpartition(":")[2]
    return found


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
    """Each counts by a small file, which says that it is ready, or failed."""
    said = list((bindery.home / "environments").iterdir())
    ready = {path.name.removesuffix(".json") for path in said if path.suffix == ".json"}
    failed = {path.name.removesuffix(".failed") for path in said if path.suffix == ".failed"}
    allowed = {f"{name}.json" for name in ready} | {f"{name}.failed" for name in failed}
    allowed |= {f"{name}.lock" for name in ready | failed}
    yield from (f"environments/{path.name}" for path in said if path.name not in allowed)
    yield from (f"store/{path.name}" for path in (bindery.home / "store").iterdir() if path.name not in ready)


def _aside(bindery: LocalRuntime) -> Iterator[str]:
    """What was being written beside its place when its writer ended."""
    for folder in (bindery.home, *(bindery.home / "repositories").glob("*")):
        for path in folder.iterdir():
            if path.name.startswith(".") or path.name.endswith(".new"):
                yield str(path.relative_to(bindery.home))
