"""Tests of kills at twenty random moments of launches, of Bindery in whole or in part. It leaves no remains and no
stuck launch.

The moments come from a seed, which a failing test shows and BINDERY_TESTS_SEED sets.
"""

import os
import random
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import httpx
import pytest

from tests.serving.git_http import GitServer, make_repository
from tests.serving.kernel import Session
from tests.serving.leftovers import check_at_rest, left_over, marked
from tests.serving.messages import check_readable
from tests.serving.runtime import LocalRuntime, until

Spec = Callable[..., str]
CLICK = "click"
# Seconds after a phase was first heard of, within which the blow falls.
SPANS = {CLICK: 0.3, "waiting": 0.4, "fetching": 0.4, "building": 1.0, "launching": 0.8, "ready": 0.3}
SETTINGS = {"reconcile_seconds": 1, "cull_seconds": 0.5}
POST_BUILD = "#!/bin/sh\nsetsid sleep 1000 &\nfor each in 1 2 3 4 5; do echo $each; sleep 0.1; done\n"
NEW, SCRIPTED, BUILT_BEFORE = "new", "scripted", "made"
WHOLE_MOMENTS = [
    *((NEW, phase) for phase in (CLICK, "waiting", "fetching", "building", "building")),
    *((BUILT_BEFORE, phase) for phase in (CLICK, "launching", "launching", "ready")),
    (SCRIPTED, "building"),
]
PART_MOMENTS = [
    *((NEW, "building") for _ in range(3)),
    (SCRIPTED, "building"),
    *((BUILT_BEFORE, "launching") for _ in range(3)),
]
READY_MOMENTS = [
    (BUILT_BEFORE, "ready")
] * 3  # first, because a session without its keeper may be noticed only after a minute


@pytest.fixture
def chance() -> random.Random:
    seed = os.environ.get("BINDERY_TESTS_SEED") or str(random.randrange(10**6))
    print(f"BINDERY_TESTS_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def repository(git_server: GitServer, spec_of: Spec, plain: str, tmp_path: Path) -> Callable[[str], str]:
    """Provide a function that returns a spec of one of three kinds of repository.

    The repository has no environment yet, with or without a script, or it has one.
    """
    numbers = count()

    def repository_of_kind(kind: str) -> str:
        if kind == BUILT_BEFORE:
            return plain
        name = f"{tmp_path.name}-{next(numbers)}.git"
        files = {"postBuild": POST_BUILD} if kind == SCRIPTED else {"README.md": "new\n"}
        make_repository(git_server.root / name, files)
        return spec_of(name)

    return repository_of_kind


class Launches:
    """Launches that a blow interrupts.

    hit: for each, the last event before the blow.
    """

    def __init__(self, bindery: LocalRuntime, chance: random.Random) -> None:
        self.bindery, self.chance = bindery, chance
        self.hit: list[str] = []
        self._struck: list[tuple[str, str]] = []

    def strike(self, spec: str, phase: str, blow: Callable[[], object]) -> str:
        """Launch, and strike with `blow` at a random moment after the phase was heard. Return the launch's build
        token.
        """
        token = self.bindery.token(f"git/{spec}", jti=f"{spec} {len(self.hit)}")
        phases, underway = [CLICK], threading.Event()
        delay = self.chance.uniform(0, SPANS[phase])
        print(f"{len(self.hit)}: {delay:.3f} s after {phase} of {spec}")

        def fall() -> None:
            self.hit.append(phases[-1])
            blow()

        timer = threading.Timer(delay, fall)
        with suppress(httpx.TransportError):
            for _ in self._listen(spec, token, phases):
                if phase in phases and not underway.is_set():
                    underway.set()
                    timer.start()
        assert underway.is_set(), f"{phase} never came: {phases}"
        timer.join()
        self._struck.append((spec, token))
        return token

    def _listen(self, spec: str, token: str, phases: list[str]) -> Iterator[None]:
        yield
        with self.bindery.stream(spec, build_token=token) as stream:
            for event in stream.listen():
                phases.append(event.phase)
                yield

    def check_end(self, spec: str, token: str) -> None:
        """Check that the interrupted launch has ended or ends, with a message, and that the next launch is ready."""
        again = self.bindery.launch(spec, build_token=token).last
        print(f"   {self.hit[-1]}, then {again.phase}: {again.message}")
        assert again.phase in {"ready", "failed"}
        if again.phase == "failed":
            check_readable(again.message)
            assert self.bindery.launch(spec).last.phase == "ready"

    def check_ready_sessions(self) -> None:
        """Check that the session of each launch that is reported as ready answers."""
        for spec, token in self._struck:
            event = self.bindery.launch(spec, build_token=token).last
            assert event.phase == "failed" or Session.of(event.data).answers(), event


def test_launches_continue_after_kills_at_random_moments(
    home: Path, git_server: GitServer, repository: Callable[[str], str], chance: random.Random
) -> None:
    moments = chance.sample(WHOLE_MOMENTS, len(WHOLE_MOMENTS))
    with LocalRuntime(home, allowed_private_hosts=git_server.address, settings=SETTINGS) as bindery:
        assert bindery.launch(repository(BUILT_BEFORE), build_only="true").last.phase == "ready"
        launches = Launches(bindery, chance)
        for kind, phase in moments:
            spec = repository(kind)
            token = launches.strike(spec, phase, bindery.kill9)
            bindery.start()
            launches.check_end(spec, token)
            check_at_rest(bindery)
        launches.check_ready_sessions()
        assert len(set(launches.hit)) >= 3, launches.hit


class Killing:
    """A blow that kills a process of a launch.

    killed: command lines.
    """

    def __init__(self, bindery: LocalRuntime, chance: random.Random) -> None:
        self.bindery, self.chance = bindery, chance
        self.killed: list[str] = []
        self._before: set[str] = set()

    def look_at_what_is_there(self) -> None:
        """Remember the existing processes. Sessions of earlier launches are spared."""
        self._before = set(marked(self.bindery).values())

    def of_build(self) -> None:
        self._one(lambda: sorted(self.bindery.builds()))

    def of_session(self) -> None:
        self._one(lambda: sorted(pid for pid, session in marked(self.bindery).items() if session not in self._before))

    def _one(self, found: Callable[[], list[int]]) -> None:
        """Kill a random one of the processes as soon as one exists. Kill no process if none exists in time."""
        with suppress(TimeoutError, OSError):
            until(found, 2)
            victim = self.chance.choice(found() or [-1])
            command = Path(f"/proc/{victim}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            os.kill(victim, signal.SIGKILL)
            self.killed.append(command)
            print(f"   killed {command[-150:]}")


def test_a_launch_ends_and_the_next_is_ready_after_a_process_was_killed(
    home: Path, git_server: GitServer, repository: Callable[[str], str], chance: random.Random
) -> None:
    with LocalRuntime(home, allowed_private_hosts=git_server.address, settings=SETTINGS) as bindery:
        assert bindery.launch(repository(BUILT_BEFORE), build_only="true").last.phase == "ready"
        launches, killing = Launches(bindery, chance), Killing(bindery, chance)
        for kind, phase in [*READY_MOMENTS, *chance.sample(PART_MOMENTS, len(PART_MOMENTS))]:
            killing.look_at_what_is_there()
            target = len(killing.killed) + 1
            while len(killing.killed) < target:  # a quick build is over before the blow falls
                spec = repository(kind)
                token = launches.strike(spec, phase, killing.of_build if phase == "building" else killing.of_session)
                launches.check_end(spec, token)
        assert {"building", "launching", "ready"} <= set(launches.hit), launches.hit
        check_at_rest(bindery, seconds=120)
        launches.check_ready_sessions()


def test_a_start_removes_temporary_files_of_killed_writers(home: Path, git_server: GitServer, plain: str) -> None:
    with LocalRuntime(home, allowed_private_hosts=git_server.address) as bindery:
        assert bindery.launch(plain, build_only="true").last.phase == "ready"
        bindery.kill9()
        (ready,) = (home / "environments").glob("*.json")
        fetched = next((home / "repositories").iterdir())
        shutil.copytree(next(fetched.iterdir()), fetched / ".aside-0123")
        new = (f".new-{ready.stem}.abcd1234", ".new-never-1.abcd1234", ".new-abcd1234")
        for name in (*new, ".lock", "never-1.lock", "never-2.lock"):
            (home / "environments" / name).touch()
        (home / "store" / "never-2").mkdir()
        assert len(left_over(bindery)) == 8
        bindery.start()
        assert left_over(bindery) == []
        assert bindery.launch(plain).phases == ["built", "launching", "ready"]
