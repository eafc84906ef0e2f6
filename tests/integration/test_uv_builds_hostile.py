"""Hostile builds, and crashes: no build hangs, no leftovers stay, and no half-built environment is used."""

import errno
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bindery.domain.builds import BuildReport, BuildState
from bindery.domain.errors import BuildCrashed, BuildFailed, BuildServiceDown, BuildTooLong, HostUnreachable
from bindery.domain.failure import Failure
from bindery.domain.repository import Repository
from bindery.ports.contents import Checkout
from bindery_builder.build_log import MOST_LINES
from bindery_local.builds.environments import environment_of, hold
from tests.building import WAIT_SECONDS, Building, FolderContents, ordered, uv_that_installs_nothing
from tests.fakes.clock import FakeClock

STOPPED = Failure.of(BuildFailed(step="build", why="it was stopped"))


@pytest.fixture
def quick_uv(tmp_path: Path) -> str:
    return uv_that_installs_nothing(tmp_path)


@pytest.fixture
def building(tmp_path: Path, quick_uv: str) -> Iterator[Building]:
    building = Building(tmp_path, uv=quick_uv)
    yield building
    building.close()


@pytest.fixture
def pid_pipe(tmp_path: Path) -> Path:
    """Return a pipe for scripts to write process ids into; a writer waits for a reader."""
    pipe = tmp_path / "told"
    os.mkfifo(pipe)
    return pipe


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """Return a pipe for scripts to read from; a reader waits for a writer."""
    pipe = tmp_path / "go"
    os.mkfifo(pipe)
    return pipe


def watched(pid_pipe: Path) -> list[int]:
    """Return descriptors of the processes that a script reports by their ids."""
    return [os.pidfd_open(int(pid)) for pid in pid_pipe.read_text().split()]


def assert_gone(descriptors: list[int]) -> None:
    assert descriptors
    for descriptor in descriptors:
        ended, _, _ = select.select([descriptor], [], [], 20)
        os.close(descriptor)
        assert ended


def folders(building: Building) -> list[str]:
    return sorted(path.name for path in (building.home / "store").iterdir())


def test_an_endless_post_build_is_ended_at_its_limit(building: Building, pid_pipe: Path) -> None:
    text = f"#!/bin/sh\ntrap '' TERM\nsleep 600 &\necho $$ $! > {pid_pipe}\nwhile :; do sleep 1; done\n"
    order = ordered(building.repository({"postBuild": text}), scope="tree", seconds=2)
    building.builds.start(order)
    processes = watched(pid_pipe)
    assert building.wait(order).failure == Failure.of(BuildTooLong(minutes=1))
    assert_gone(processes)
    assert folders(building) == []


@pytest.mark.parametrize(
    "daemon",
    [
        "sleep 600 &",
        "setsid sleep 600 < /dev/null > /dev/null 2>&1 &",
        "cd / && setsid nohup sleep 600 &",
        "setsid env -i sleep 600 &",
        "cd / && env -i setsid sleep 600 &",  # neither the mark nor the folder
    ],
)
def test_background_processes_of_a_post_build_are_ended(
    building: Building, pid_pipe: Path, go: Path, daemon: str
) -> None:
    text = f"{daemon}\necho $! > {pid_pipe}\nread line < {go}\n"
    order = ordered(building.repository({"postBuild": text}), scope="tree")
    building.builds.start(order)
    processes = watched(pid_pipe)
    go.write_text("on\n")
    assert building.wait(order).state is BuildState.SUCCEEDED
    assert_gone(processes)


def test_stopping_a_build_ends_detached_processes(building: Building, pid_pipe: Path) -> None:
    text = f"cd /; env -i setsid sleep 600 & echo $! > {pid_pipe}\nsleep 600\n"
    order = ordered(building.repository({"postBuild": text}), scope="tree")
    handle = building.builds.start(order)
    processes = watched(pid_pipe)
    building.builds.stop(handle)
    assert building.wait(order).failure == STOPPED
    assert_gone(processes)


def test_detached_processes_of_a_setup_script_are_ended(tmp_path: Path, pid_pipe: Path, go: Path) -> None:
    building = Building(tmp_path)
    text = f"""import os, subprocess
child = subprocess.Popen(["setsid", "sleep", "600"], cwd="/", env={{"PATH": os.environ["PATH"]}},
    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
with open({str(pid_pipe)!r}, "w") as file:
    file.write(str(child.pid))
open({str(go)!r}).read()
raise SystemExit("enough")
"""
    order = ordered(building.repository({"setup.py": text}), scope="tree")
    building.builds.start(order)
    processes = watched(pid_pipe)
    go.write_text("on\n")
    assert building.wait(order).state is BuildState.FAILED
    assert_gone(processes)
    building.close()


def test_a_build_over_its_disk_limit_is_ended(tmp_path: Path, quick_uv: str) -> None:
    building = Building(tmp_path, uv=quick_uv, max_build_bytes=100_000_000)
    report = building.build({"postBuild": "head -c 101000000 /dev/zero > much\nsleep 600\n"}, scope="tree")
    expected = BuildFailed(step="postBuild", why="the build holds more than 0.1 GB on disk")
    assert report.failure == Failure.of(expected)
    assert folders(building) == []
    building.close()


def test_a_hundred_megabytes_of_output_are_shortened(building: Building) -> None:
    text = "yes a line of output that is quite ordinary | head -c 100000000\necho\necho the last line\n"
    assert building.build({"postBuild": text}, scope="tree").state is BuildState.SUCCEEDED
    assert len(building.queue.lines) <= MOST_LINES
    assert building.queue.lines[-1].message == "the last line\n"
    assert "lines left out" in building.queue.text


def test_a_hundred_megabytes_in_one_line_are_one_short_line(building: Building) -> None:
    text = "head -c 100000000 /dev/zero | tr '\\0' x\necho\necho the last line\n"
    assert building.build({"postBuild": text}, scope="tree").state is BuildState.SUCCEEDED
    assert len(building.queue.text) < 10_000


def test_stopping_a_build_ends_its_processes(building: Building, pid_pipe: Path) -> None:
    order = ordered(building.repository({"postBuild": f"echo $$ > {pid_pipe}\nsleep 600\n"}), scope="tree")
    handle = building.builds.start(order)
    processes = watched(pid_pipe)
    building.builds.stop(handle)
    assert building.wait(order) == BuildReport(BuildState.FAILED, failure=STOPPED)
    assert_gone(processes)
    assert folders(building) == []


def test_closing_ends_and_forgets_all_builds(tmp_path: Path, quick_uv: str, pid_pipe: Path) -> None:
    building = Building(tmp_path, uv=quick_uv, slots=1)
    repository = building.repository({"postBuild": f"echo $$ > {pid_pipe}\nsleep 600\n"})
    running, waiting = ordered(repository, scope="tree"), ordered(repository, attempt=2, scope="tree")
    handles = [building.builds.start(running), building.builds.start(waiting)]
    processes = watched(pid_pipe)
    building.builds.close()
    assert_gone(processes)
    assert [building.builds.status(handle).state for handle in handles] == [BuildState.UNKNOWN] * 2
    assert folders(building) == []
    with pytest.raises(BuildServiceDown):
        building.builds.start(running)


def test_builds_at_once_are_limited_and_a_waiting_one_can_be_stopped(
    tmp_path: Path, quick_uv: str, pid_pipe: Path
) -> None:
    building = Building(tmp_path, uv=quick_uv, slots=1)
    slow = ordered(
        building.repository({"postBuild": f"echo $$ > {pid_pipe}\nsleep 600\n"}, "slow"), "slow", scope="tree"
    )
    quick = ordered(building.repository({}, "quick"), "quick")
    slow_handle, quick_handle = building.builds.start(slow), building.builds.start(quick)
    processes = watched(pid_pipe)
    assert building.builds.status(quick_handle).state is BuildState.RUNNING
    building.builds.stop(quick_handle)
    assert building.wait(quick).failure == STOPPED
    assert building.builds.status(slow_handle).state is BuildState.RUNNING
    building.builds.close()
    assert_gone(processes)


def test_the_next_build_takes_a_free_slot(tmp_path: Path, quick_uv: str) -> None:
    building = Building(tmp_path, uv=quick_uv, slots=1)
    orders = [ordered(building.repository({}), attempt=attempt) for attempt in (1, 2, 3)]
    for order in orders:
        building.builds.start(order)
    assert [building.wait(order).state for order in orders] == [BuildState.SUCCEEDED] * 3
    building.builds.close()


CRASHING = """
import sys, threading
from pathlib import Path
from tests.building import Building, ordered
building = Building(Path(sys.argv[1]), uv=sys.argv[2])
building.builds.start(ordered(Path(sys.argv[1]) / "repository", scope="tree"))
threading.Event().wait()
"""


def crashed(building: Building, pid_pipe: Path, uv: str, daemon: str = "setsid sleep 600 &") -> list[int]:
    """Kill another process in the middle of its build; return its orphans."""
    building.repository({"postBuild": f"{daemon}\necho $$ $! > {pid_pipe}\nsleep 600\n"})
    command = [sys.executable, "-c", CRASHING, str(building.folder), uv]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment) as process:
        orphans = watched(pid_pipe)
        assert building.builds.status("env-1").state is BuildState.RUNNING
        process.send_signal(signal.SIGKILL)
        process.wait(WAIT_SECONDS)
    return orphans


def test_recovery_removes_all_remains_of_a_crash(building: Building, pid_pipe: Path, quick_uv: str) -> None:
    orphans = crashed(building, pid_pipe, quick_uv)
    assert folders(building) == ["env-1"]
    assert environment_of(building.home, "uv/env-1") is None
    building.builds.recover()
    assert_gone(orphans)
    assert folders(building) == []
    assert building.builds.status("env-1").failure == Failure.of(BuildCrashed())


def test_a_regular_shutdown_during_a_build_is_no_crash(building: Building, pid_pipe: Path, quick_uv: str) -> None:
    building.builds.start(
        ordered(building.repository({"postBuild": f"echo $$ > {pid_pipe}\nsleep 600\n"}), scope="tree")
    )
    watched(pid_pipe)
    building.builds.close()
    building.builds.recover()
    assert building.builds.status("env-1").state is BuildState.UNKNOWN


def test_recovery_ends_detached_processes_of_a_crashed_build(building: Building, pid_pipe: Path, quick_uv: str) -> None:
    assert_gone(crashed(building, pid_pipe, quick_uv, "cd /; env -i setsid sleep 600 &"))


def test_a_crashed_attempt_can_be_started_again_without_recovery(
    building: Building, pid_pipe: Path, quick_uv: str
) -> None:
    orphans = crashed(building, pid_pipe, quick_uv)
    assert building.build({"postBuild": "true"}, scope="tree").state is BuildState.SUCCEEDED
    assert_gone(orphans)


def test_recovery_does_not_touch_builds_of_another_process(building: Building, pid_pipe: Path, quick_uv: str) -> None:
    order = ordered(building.repository({"postBuild": f"echo $$ > {pid_pipe}\nsleep 600\n"}), scope="tree")
    handle = building.builds.start(order)
    processes = watched(pid_pipe)
    other = Building(building.folder, uv=quick_uv)
    other.builds.recover()
    assert other.builds.status(handle).state is BuildState.RUNNING
    assert other.builds.start(order) == handle
    assert folders(building) == [handle]
    assert other.queue.messages == []
    other.builds.close()
    building.builds.stop(handle)
    assert building.wait(order).failure == STOPPED
    assert other.builds.status(handle).failure == STOPPED
    assert_gone(processes)


def test_the_next_process_knows_finished_and_failed_attempts(building: Building, quick_uv: str) -> None:
    good, bad = ordered(building.repository({}, "a"), "a"), ordered(building.repository({"apt.txt": "x"}, "b"), "b")
    handles = [building.builds.start(order) for order in (good, bad)]
    reports = [building.wait(order) for order in (good, bad)]
    other = Building(building.folder, uv=quick_uv)
    other.builds.recover()
    assert [other.builds.status(handle) for handle in handles] == reports
    assert [other.builds.start(order) for order in (good, bad)] == handles
    assert other.builds.image_exists("uv/a-1")
    other.builds.close()
    assert other.queue.messages == []


def test_the_least_recently_used_are_evicted_first_and_never_one_in_use(tmp_path: Path, quick_uv: str) -> None:
    clock = FakeClock(time=time.time())
    building = Building(tmp_path, uv=quick_uv, max_bytes=1, clock=clock)

    def make(name: str) -> str:
        order = ordered(building.repository({}, name), name)
        building.builds.start(order)
        image = building.wait(order).image
        clock.advance(100)
        return image

    images = [make(name) for name in ("a", "b", "c")]
    assert all(building.builds.image_exists(image) for image in images)  # all touched just now
    clock.advance(1_000)
    assert building.builds.image_exists(images[0])
    clock.advance(100)
    held = hold(building.home, images[1])
    assert held is not None
    with held:
        building.builds.recover()
        assert [building.builds.image_exists(image) for image in images] == [True, True, False]
    assert folders(building) == ["a-1", "b-1"]
    assert hold(building.home, images[2]) is None
    assert building.builds.status("c-1").state is BuildState.UNKNOWN
    clock.advance(10_000)
    building.builds.recover()
    assert folders(building) == []
    assert list((building.home / "environments").iterdir()) == []
    building.builds.close()


@pytest.mark.parametrize("files", [{"apt.txt": "x"}, {"postBuild": "test -e ../../old-1 && exit 3; exit 4"}])
def test_space_is_freed_before_a_build_and_after_a_failed_one(
    tmp_path: Path, quick_uv: str, files: dict[str, str | bytes]
) -> None:
    clock = FakeClock(time=time.time())
    building = Building(tmp_path, uv=quick_uv, max_bytes=1, clock=clock)
    old = ordered(building.repository({}, "old"), "old")
    building.builds.start(old)
    image = building.wait(old).image
    assert building.builds.wait(WAIT_SECONDS)  # it also looked for environments to evict
    clock.advance(10_000)
    order = ordered(building.repository(files, "new"), "new", scope="tree")
    building.builds.start(order)
    failure = building.wait(order).failure
    assert failure is not None
    assert failure.facts.get("why", "exit status 4") == "exit status 4"  # the script met no old one
    assert not building.builds.image_exists(image)
    building.builds.close()


def test_a_lock_lasts_as_long_as_a_process_that_inherited_it(tmp_path: Path, quick_uv: str) -> None:
    clock = FakeClock(time=time.time())
    building = Building(tmp_path, uv=quick_uv, max_bytes=1, clock=clock)
    order = ordered(building.repository({}))
    building.builds.start(order)
    image = building.wait(order).image
    held = hold(building.home, image)
    assert held is not None
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[held.descriptor]) as session:
        held.close()
        clock.advance(10_000)
        building.builds.recover()
        assert building.builds.image_exists(image)
        clock.advance(10_000)
        assert session.stdin is not None
        session.stdin.close()
        session.wait(WAIT_SECONDS)
    building.builds.recover()
    assert not building.builds.image_exists(image)
    building.builds.close()


def test_an_environment_without_its_python_does_not_exist(building: Building) -> None:
    image = building.build({}).image
    environment = environment_of(building.home, image)
    assert environment is not None
    environment.python.unlink()
    assert environment_of(building.home, image) is None
    assert not building.builds.image_exists(image)


def test_two_engines_on_one_home_build_an_attempt_once(building: Building, quick_uv: str) -> None:
    others = [Building(building.folder, uv=quick_uv) for _ in range(3)]
    order, together = ordered(building.repository({"postBuild": "echo x >> count"}), scope="tree"), threading.Barrier(3)

    def start(other: Building) -> None:
        together.wait()
        other.builds.start(order)

    threads = [threading.Thread(target=start, args=[other]) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other in others:
        assert other.builds.wait(WAIT_SECONDS)  # the started processes run to their end
    assert sum(len(other.queue.ended) for other in others) == 1
    assert (building.home / "store" / "env-1" / "content" / "count").read_text() == "x\n"


def test_a_failing_script_is_reported_with_exit_status_and_last_output(building: Building) -> None:
    report = building.build({"binder/postBuild": "echo not good >&2\nexit 3\n"}, scope="tree")
    assert report.failure == Failure.of(BuildFailed(step="binder/postBuild", why="exit status 3: not good"))


def test_a_script_with_a_missing_interpreter_is_reported(building: Building) -> None:
    report = building.build({"postBuild": "#!/no/such/thing\n"}, scope="tree")
    assert report.failure is not None
    assert "first line" in str(report.failure.facts["why"])


class FailingContents:
    """The contents port, where no content is available."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def checkout(
        self,
        repository: Repository,
        folder: Path,
        seconds: float | None = None,
        stopped: Callable[[], bool] = lambda: False,
        *,
        exact: bool = False,
    ) -> Checkout:
        folder.mkdir()
        raise self.error


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (HostUnreachable(host="h", why="w"), Failure(kind="HostUnreachable", facts={"host": "h", "why": "w"})),
        (OSError(errno.ENOSPC, "x", "/a/path"), Failure.of(BuildServiceDown(why="the disk is full"))),
        (ZeroDivisionError("x"), Failure.of(BuildFailed(step="build", why="unexpected ZeroDivisionError"))),
    ],
)
def test_unavailable_content_fails_the_attempt_with_its_reason(
    tmp_path: Path, quick_uv: str, error: Exception, failure: Failure
) -> None:
    building = Building(tmp_path, uv=quick_uv, contents=FailingContents(error))
    assert building.build({}) == BuildReport(BuildState.FAILED, failure=failure)
    assert folders(building) == []
    building.close()


class EndlessContents:
    """The contents port, at a host that sends a byte now and then. heeds: True if it checks for a request to stop."""

    def __init__(self, heeds: bool) -> None:
        self.heeds, self.begun, self.released = heeds, threading.Event(), threading.Event()

    def checkout(
        self,
        repository: Repository,
        folder: Path,
        seconds: float | None = None,
        stopped: Callable[[], bool] = lambda: False,
        *,
        exact: bool = False,
    ) -> Checkout:
        assert seconds is not None
        until = time.monotonic() + seconds
        self.begun.set()
        while not self.released.wait(0.02):
            if self.heeds and (stopped() or time.monotonic() > until):
                raise HostUnreachable(host="h", why="it was stopped")
        return Checkout()


def test_a_download_without_end_is_stopped_with_its_build(tmp_path: Path, quick_uv: str) -> None:
    contents = EndlessContents(heeds=True)
    building = Building(tmp_path, uv=quick_uv, contents=contents)
    order = ordered(building.repository({}))
    handle = building.builds.start(order)
    assert contents.begun.wait(WAIT_SECONDS)
    building.builds.stop(handle)
    assert building.wait(order).failure == STOPPED
    building.close()


def test_a_download_without_end_is_limited_to_the_time_of_the_build(tmp_path: Path, quick_uv: str) -> None:
    building = Building(tmp_path, uv=quick_uv, contents=EndlessContents(heeds=True))
    order = ordered(building.repository({}), seconds=1)
    building.builds.start(order)
    assert building.wait(order).failure == Failure.of(BuildTooLong(minutes=1))
    building.close()


def test_closing_does_not_wait_for_a_hanging_download(
    tmp_path: Path, quick_uv: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bindery_local.builds.attempts.CLOSE_SECONDS", 0.1)
    contents = EndlessContents(heeds=False)
    building = Building(tmp_path, uv=quick_uv, contents=contents)
    building.builds.start(ordered(building.repository({})))
    assert contents.begun.wait(WAIT_SECONDS)
    building.builds.close()
    assert not contents.released.is_set()  # it still hangs, and the test has continued
    contents.released.set()
    assert building.builds.wait(WAIT_SECONDS)


HANGING = """
import sys
from pathlib import Path
import bindery_local.builds.uv.builds as uv
from tests.building import Building, ordered
from tests.integration.test_uv_builds_hostile import EndlessContents
uv.CLOSE_SECONDS = 0.1
contents = EndlessContents(heeds=False)
building = Building(Path(sys.argv[1]), uv=sys.argv[2], contents=contents)
building.builds.start(ordered(Path(sys.argv[1])))
contents.begun.wait()
building.builds.close()
"""


def test_a_process_ends_despite_a_hanging_build(tmp_path: Path, quick_uv: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(
        [sys.executable, "-c", HANGING, str(tmp_path), quick_uv], env=environment, timeout=WAIT_SECONDS, check=True
    )


class NotedContents(FolderContents):
    """The contents port, with notes to report."""

    def checkout(
        self,
        repository: Repository,
        folder: Path,
        seconds: float | None = None,
        stopped: Callable[[], bool] = lambda: False,
        *,
        exact: bool = False,
    ) -> Checkout:
        super().checkout(repository, folder)
        return Checkout(notes=("Large files are missing.", "Another note."))


def test_notes_of_the_content_are_written_to_the_log(tmp_path: Path, quick_uv: str) -> None:
    building = Building(tmp_path, uv=quick_uv, contents=NotedContents())
    building.build({})
    messages = [line.message for line in building.queue.lines if line.phase == "fetching"]
    assert messages[1:] == ["Large files are missing.\n", "Another note.\n"]
    building.close()


def test_a_home_that_cannot_be_created_is_reported_at_once(tmp_path: Path, quick_uv: str) -> None:
    (tmp_path / "home").write_text("a file")
    building = Building(tmp_path, uv=quick_uv)
    with pytest.raises(BuildServiceDown):
        building.builds.start(ordered(tmp_path))
    building.close()


def test_a_key_that_is_no_valid_folder_name_can_be_built(building: Building) -> None:
    order = ordered(building.repository({}), "../../" + "k" * 500)
    handle = building.builds.start(order)
    building.queue.wait(lambda: bool(building.queue.ended))
    assert building.builds.status(handle).state is BuildState.SUCCEEDED
    assert folders(building) == [handle]
