"""Images that were not launched for long. Images that are launched or in use stay, and a removed image is built again."""

import pytest

from bindery.domain.environment import EnvironmentState
from bindery.domain.errors import BuildServiceDown
from bindery.domain.launch import Launch, Stage
from tests.fakes.in_memory_system import InMemorySystem

DAY = 86400


@pytest.fixture
def system() -> InMemorySystem:
    return InMemorySystem(rate_limit=1000, image_days=21)


def launched(system: InMemorySystem) -> Launch:
    """Return a launch after its session has ended."""
    launch = system.ready()
    system.bindery.stop_launch(launch.id)
    system.pump()
    return launch


def swept(system: InMemorySystem, days: float) -> set[str]:
    """Advance the clock by this number of days, run a sweep, and return the remaining images."""
    system.clock.advance(days * DAY)
    system.bindery.reconcile()
    return system.builds.images


def test_an_image_is_deleted_three_weeks_after_the_day_of_its_last_launch(system: InMemorySystem) -> None:
    launched(system)
    assert len(swept(system, 21)) == 1
    assert swept(system, 1) == set()
    assert list(system.bindery.state.environments.unlaunched(0, 100)) == []


def test_an_image_launched_every_few_weeks_is_never_deleted(system: InMemorySystem) -> None:
    launched(system)
    for _ in range(40):
        assert len(swept(system, 20)) == 1
        launched(system)
    assert len(system.builds.started) == 1


def test_a_deleted_image_is_rebuilt_by_the_next_launch(system: InMemorySystem) -> None:
    key = launched(system).environment
    swept(system, 22)
    assert system.bindery.state.environments.find(key).state is EnvironmentState.EVICTED  # type: ignore[union-attr]  # it exists
    again = system.ready()
    assert (again.stage, again.attempt) == (Stage.READY, 2)
    assert len(system.builds.images) == 1


def test_zero_days_disable_the_deletion_of_images() -> None:
    system = InMemorySystem(image_days=0)
    launched(system)
    assert len(swept(system, 3000)) == 1


def test_the_image_of_a_running_session_is_never_deleted(system: InMemorySystem) -> None:
    launch = system.ready()
    for _ in range(10):
        assert len(swept(system, 22)) == 1
    system.bindery.stop_launch(launch.id)
    system.pump()
    assert len(swept(system, 20)) == 1, "a session that ran counts as a launch of that day"
    assert swept(system, 2) == set()


def test_launches_of_one_day_write_the_environment_once(system: InMemorySystem) -> None:
    launched(system)
    system.clock.advance(DAY)
    written: list[object] = []

    def count(operation: str, keys: object) -> None:
        if operation in ("put", "transact") and "'environment#" in str(keys) and "#waiters#" not in str(keys):
            written.append(keys)

    system.table.before = count
    for _ in range(20):
        launched(system)
    assert len(written) == 1


def test_a_launch_that_precedes_the_deletion_mark_keeps_the_image(system: InMemorySystem) -> None:
    launched(system)
    system.clock.advance(22 * DAY)
    late: list[Launch] = []

    def come(operation: str, keys: object) -> None:
        if operation == "put" and "'environment#" in str(keys) and not late:
            late.append(system.open())
            system.step()  # It reads the environment as ready and notes its day first.

    system.table.before = come
    system.bindery.reconcile()
    assert late
    assert len(system.builds.images) == 1, "the launch was first"
    system.build()
    assert (system.launch(late[0]).stage, system.launch(late[0]).attempt) == (Stage.READY, 1)


def test_a_launch_after_the_deletion_mark_builds_the_image_again(system: InMemorySystem) -> None:
    key = launched(system).environment
    system.clock.advance(22 * DAY)
    launch = system.open()
    marked: list[bool] = []

    def mark(operation: str, keys: object) -> None:
        if operation == "put" and "'environment#" in str(keys) and not marked:
            marked.append(True)
            system.bindery.reconcile()

    system.table.before = mark
    system.build()
    assert marked
    now = system.launch(launch)
    assert (now.stage, now.attempt, now.environment) == (Stage.READY, 2, key)


def test_a_failed_deletion_is_repeated_by_a_later_sweep(system: InMemorySystem) -> None:
    launched(system)
    remove = system.builds.remove

    def down(image: str) -> bool:
        raise BuildServiceDown(why="no answer")

    system.builds.remove = down  # type: ignore[method-assign]  # until it is restored below
    assert len(swept(system, 22)) == 1
    system.builds.remove = remove  # type: ignore[method-assign]
    assert swept(system, 0) == set()


def test_a_registry_that_refuses_deletion_is_requested_once(
    system: InMemorySystem, caplog: pytest.LogCaptureFixture
) -> None:
    launched(system)
    removals: list[str] = []
    system.builds.remove = lambda image: bool(removals.append(image))  # type: ignore[method-assign, func-returns-value]
    for _ in range(3):
        swept(system, 22)
    assert len(removals) == 1
    assert "BINDERY_IMAGE_DAYS=0" in caplog.text


def test_an_error_with_one_image_does_not_stop_the_sweep(system: InMemorySystem) -> None:
    other = "f" * 40
    system.host.heads["o/other"], system.host.files[other] = other, {"requirements.txt": b"scipy\n"}
    first, second = system.ready("o/r/HEAD"), system.ready("o/other/HEAD")
    for launch in (first, second):
        system.bindery.stop_launch(launch.id)
    system.pump()
    remove = system.builds.remove

    def one_fails(image: str) -> bool:
        if first.environment in image:
            raise BuildServiceDown(why="no answer")
        return remove(image)

    system.builds.remove = one_fails  # type: ignore[method-assign]  # for the rest of the test
    assert [first.environment in image for image in swept(system, 22)] == [True]


def test_an_image_is_rebuilt_before_the_registry_rule_deletes_it() -> None:
    system = InMemorySystem(
        rate_limit=1000, image_days=21, builder="codebuild", registry="https://example.org/x", launcher="kubernetes"
    )
    attempts = [launched(system).attempt]
    for _ in range(19):
        swept(system, 20)
        attempts.append(launched(system).attempt)
    assert attempts == [1] * 19 + [2]  # The last launch is on day 380.
