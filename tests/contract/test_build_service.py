"""The build service port's sentences, on every build service."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from bindery.domain.builds import BuildOrder, BuildReport, BuildState
from bindery.domain.errors import CannotBuild
from bindery.domain.failure import Failure
from bindery.domain.messages import LogLine
from bindery.ports.build_service import BuildService
from tests import codebuilds
from tests.building import Building, RecordingQueue, ordered, uv_that_installs_nothing
from tests.codebuilds import CodeBuilding, codebuilding
from tests.containers import FROM_NOTHING, ContainerBuilding, HeldContents, step
from tests.fakes.builds import FakeBuilds
from tests.serving.registry import local_registry, what_is_missing

FAILURE = Failure.of(CannotBuild(file="apt.txt", needs="x", install="y"))


@dataclass(frozen=True)
class Service:
    """A build service. good, bad: orders that end well and badly, once `release` lets them."""

    builds: BuildService
    queue: RecordingQueue
    good: Callable[[int], BuildOrder]
    bad: Callable[[int], BuildOrder]
    release: Callable[[], None]

    def ended(self, order: BuildOrder) -> BuildReport:
        handle = self.builds.start(order)
        self.release()
        self.queue.wait(lambda: (order.environment, order.attempt) in self.queue.ended)
        return self.builds.status(handle)


@pytest.fixture(params=["fake", "uv", "container", "codebuild"])
def service(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    match request.param:
        case "fake":
            yield fake(tmp_path)
        case "uv":
            building = Building(tmp_path, uv=uv_that_installs_nothing(tmp_path))
            yield on_uv(building)
            building.builds.close()
        case "codebuild":
            if missing := codebuilds.what_is_missing():
                pytest.skip(missing)
            with codebuilding(tmp_path, monkeypatch) as building_far_away:
                yield on_codebuild(building_far_away)
        case _:
            if missing := what_is_missing():
                pytest.skip(missing)
            with local_registry(tmp_path / "registry") as registry:
                contents = HeldContents()
                containers = ContainerBuilding(tmp_path, registry, monkeypatch, contents=contents)
                yield on_containers(containers, contents)
                containers.close()


def fake(folder: Path) -> Service:
    queue = RecordingQueue()
    builds = FakeBuilds(queue)

    def release() -> None:
        for order in builds.started:
            handle = f"{order.environment}-{order.attempt}"
            if builds.status(handle).state is BuildState.RUNNING:
                builds.write(handle, "one", "two")
                bad = order.environment == "bad"
                builds.finish(handle, BuildReport(BuildState.FAILED, failure=FAILURE) if bad else None)

    def good(attempt: int) -> BuildOrder:
        return ordered(folder, "good", attempt)

    return Service(builds, queue, good, lambda attempt: ordered(folder, "bad", attempt), release)


def on_uv(building: Building) -> Service:
    flag = building.folder / "go on"
    waiting = f"#!/bin/sh\nuntil [ -e '{flag}' ]; do sleep 0.02; done\n"
    good = building.repository({"requirements.txt": "six\n", "postBuild": waiting}, "good")
    bad = building.repository({"postBuild": waiting + "exit 3\n"}, "bad")
    return Service(
        building.builds,
        building.queue,
        lambda attempt: ordered(good, "good", attempt, scope="tree"),
        lambda attempt: ordered(bad, "bad", attempt, scope="tree"),
        flag.touch,
    )


def on_containers(building: ContainerBuilding, contents: HeldContents) -> Service:
    good = building.repository({"Dockerfile": FROM_NOTHING + step("echo one; echo two")}, "good")
    bad = building.repository({"Dockerfile": FROM_NOTHING + step("exit 3")}, "bad")
    return Service(
        building.builds,
        building.queue,
        lambda attempt: ordered(good, "good", attempt, scope="tree"),
        lambda attempt: ordered(bad, "bad", attempt, scope="tree"),
        contents.release,
    )


def on_codebuild(building: CodeBuilding) -> Service:
    files = {"Dockerfile": FROM_NOTHING + step("echo one; echo two")}
    good = building.order(files, "good")
    bad = building.order({"Dockerfile": FROM_NOTHING + step("exit 3")}, "bad")
    return Service(
        building.builds,
        building.queue,
        lambda attempt: good.model_copy(update={"attempt": attempt}),
        lambda attempt: bad.model_copy(update={"attempt": attempt}),
        building.gate.open,
    )


def test_the_name_of_a_build_service_never_changes(service: Service) -> None:
    assert service.builds.name
    assert service.builds.name == service.builds.name


def test_start_returns_while_the_attempt_runs(service: Service) -> None:
    handle = service.builds.start(service.good(1))
    assert service.builds.status(handle) == BuildReport(BuildState.RUNNING)
    service.builds.stop(handle)


def test_a_repeated_start_returns_the_same_handle_and_starts_no_build(service: Service) -> None:
    order = service.good(1)
    handles = {service.builds.start(order) for _ in range(3)}
    report = service.ended(order)
    assert len(handles) == 1
    assert report.state is BuildState.SUCCEEDED
    assert service.queue.ended == [("good", 1)]
    lines = len(service.queue.lines)
    assert service.builds.start(order) in handles
    assert service.builds.status(handles.pop()) == report
    assert len(service.queue.lines) == lines


def test_two_threads_that_start_one_attempt_start_it_once(service: Service) -> None:
    order, together = service.good(1), threading.Barrier(4)

    def start(_: int) -> str:
        together.wait()
        return service.builds.start(order)

    with ThreadPoolExecutor(4) as pool:
        handles = set(pool.map(start, range(4)))
    assert len(handles) == 1
    service.ended(order)
    assert service.queue.ended == [("good", 1)]
    assert len({line.number for line in service.queue.lines}) == len(service.queue.lines)


def test_each_attempt_has_its_own_handle(service: Service) -> None:
    handles = {service.builds.start(order) for order in (service.good(1), service.good(2), service.bad(1))}
    assert len(handles) == 3
    for handle in handles:
        service.builds.stop(handle)


def test_the_status_of_an_unknown_handle_is_unknown(service: Service) -> None:
    for handle in ("never-1", "", "../../etc/passwd", "a" * 5000):
        assert service.builds.status(handle) == BuildReport(BuildState.UNKNOWN)


def test_a_successful_build_names_an_existing_image(service: Service) -> None:
    report = service.ended(service.good(1))
    assert report.state is BuildState.SUCCEEDED
    assert report.failure is None
    assert service.builds.image_exists(report.image)


def test_a_failed_build_reports_its_failure_permanently(service: Service) -> None:
    order = service.bad(1)
    report = service.ended(order)
    assert report.state is BuildState.FAILED
    assert report.failure is not None
    assert not report.image
    service.builds.stop(service.builds.start(order))
    assert service.builds.status(service.builds.start(order)) == report


def test_a_stopped_attempt_fails(service: Service) -> None:
    order = service.good(1)
    handle = service.builds.start(order)
    service.builds.stop(handle)
    service.queue.wait(lambda: ("good", 1) in service.queue.ended)
    assert service.builds.status(handle).state is BuildState.FAILED


def test_stopping_an_ended_or_unknown_build_changes_nothing(service: Service) -> None:
    order = service.good(1)
    report = service.ended(order)
    service.builds.stop(service.builds.start(order))
    service.builds.stop("never-1")
    assert service.builds.status(service.builds.start(order)) == report


def test_an_unknown_image_does_not_exist(service: Service) -> None:
    for image in ("uv/never-1", "", "uv/", "uv/../../x", "other/thing"):
        assert not service.builds.image_exists(image)


def test_log_lines_are_numbered_from_0_without_gaps(service: Service) -> None:
    service.ended(service.good(1))
    lines: list[LogLine] = service.queue.lines
    assert lines
    assert [line.number for line in lines] == list(range(len(lines)))
    assert all(line.message.endswith("\n") for line in lines)
    assert {line.phase for line in lines} <= {"fetching", "building", "pushing"}
