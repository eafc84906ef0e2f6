"""Images that were not launched for long. Images that are launched or in use stay, and a removed image is built again."""

import pytest

from bindery.domain.environment import EnvironmentState
from bindery.domain.errors import BuildServiceDown
from bindery.domain.launch import Launch, Stage
from tests.fakes.in_memory_system import Small

DAY = 86400


@pytest.fixture
def small() -> Small:
    return Small(rate_limit=1000, image_days=21)


def launched(small: Small) -> Launch:
    """Return a launch after its session has ended."""
    launch = small.ready()
    small.system.stop_launch(launch.id)
    small.pump()
    return launch


def swept(small: Small, days: float) -> set[str]:
    """Advance the clock by this number of days, run a sweep, and return the remaining images."""
    small.clock.advance(days * DAY)
    small.system.reconcile()
    return small.builds.images


def test_an_image_is_deleted_three_weeks_after_the_day_of_its_last_launch(small: Small) -> None:
    launched(small)
    assert len(swept(small, 21)) == 1
    assert swept(small, 1) == set()
    assert list(small.system.state.environments.unlaunched(0, 100)) == []


def test_an_image_launched_every_few_weeks_is_never_deleted(small: Small) -> None:
    launched(small)
    for _ in range(40):
        assert len(swept(small, 20)) == 1
        launched(small)
    assert len(small.builds.started) == 1


def test_a_deleted_image_is_rebuilt_by_the_next_launch(small: Small) -> None:
    key = launched(small).environment
    swept(small, 22)
    assert small.system.state.environments.find(key).state is EnvironmentState.EVICTED  # type: ignore[union-attr]  # it exists
    again = small.ready()
    assert (again.stage, again.attempt) == (Stage.READY, 2)
    assert len(small.builds.images) == 1


def test_zero_days_disable_the_deletion_of_images() -> None:
    small = Small(image_days=0)
    launched(small)
    assert len(swept(small, 3000)) == 1


def test_the_image_of_a_running_session_is_never_deleted(small: Small) -> None:
    launch = small.ready()
    for _ in range(10):
        assert len(swept(small, 22)) == 1
    small.system.stop_launch(launch.id)
    small.pump()
    assert len(swept(small, 20)) == 1, "a session that ran counts as a launch of that day"
    assert swept(small, 2) == set()


def test_launches_of_one_day_write_the_environment_once(small: Small) -> None:
    launched(small)
    small.clock.advance(DAY)
    written: list[object] = []

    def count(operation: str, keys: object) -> None:
        if operation in ("put", "transact") and "'environment#" in str(keys) and "#waiters#" not in str(keys):
            written.append(keys)

    small.table.before = count
    for _ in range(20):
        launched(small)
    assert len(written) == 1


def test_a_launch_that_precedes_the_deletion_mark_keeps_the_image(small: Small) -> None:
    launched(small)
    small.clock.advance(22 * DAY)
    late: list[Launch] = []

    def come(operation: str, keys: object) -> None:
        if operation == "put" and "'environment#" in str(keys) and not late:
            late.append(small.open())
            small.step()  # It reads the environment as ready and notes its day first.

    small.table.before = come
    small.system.reconcile()
    assert late
    assert len(small.builds.images) == 1, "the launch was first"
    small.build()
    assert (small.launch(late[0]).stage, small.launch(late[0]).attempt) == (Stage.READY, 1)


def test_a_launch_after_the_deletion_mark_builds_the_image_again(small: Small) -> None:
    key = launched(small).environment
    small.clock.advance(22 * DAY)
    launch = small.open()
    marked: list[bool] = []

    def mark(operation: str, keys: object) -> None:
        if operation == "put" and "'environment#" in str(keys) and not marked:
            marked.append(True)
            small.system.reconcile()

    small.table.before = mark
    small.build()
    assert marked
    now = small.launch(launch)
    assert (now.stage, now.attempt, now.environment) == (Stage.READY, 2, key)


def test_a_failed_deletion_is_repeated_by_a_later_sweep(small: Small) -> None:
    launched(small)
    remove = small.builds.remove

    def down(image: str) -> bool:
        raise BuildServiceDown(why="no answer")

    small.builds.remove = down  # type: ignore[method-assign]  # until it is restored below
    assert len(swept(small, 22)) == 1
    small.builds.remove = remove  # type: ignore[method-assign]
    assert swept(small, 0) == set()


def test_a_registry_that_refuses_deletion_is_requested_once(small: Small, caplog: pytest.LogCaptureFixture) -> None:
    launched(small)
    removals: list[str] = []
    small.builds.remove = lambda image: bool(removals.append(image))  # type: ignore[method-assign, func-returns-value]
    for _ in range(3):
        swept(small, 22)
    assert len(removals) == 1
    assert "BINDERY_IMAGE_DAYS=0" in caplog.text


def test_an_error_with_one_image_does_not_stop_the_sweep(small: Small) -> None:
    other = "f" * 40
    small.host.heads["o/other"], small.host.files[other] = other, {"requirements.txt": b"scipy\n"}
    first, second = small.ready("o/r/HEAD"), small.ready("o/other/HEAD")
    for launch in (first, second):
        small.system.stop_launch(launch.id)
    small.pump()
    remove = small.builds.remove

    def one_fails(image: str) -> bool:
        if first.environment in image:
            raise BuildServiceDown(why="no answer")
        return remove(image)

    small.builds.remove = one_fails  # type: ignore[method-assign]  # for the rest of the test
    assert [first.environment in image for image in swept(small, 22)] == [True]


def test_an_image_is_rebuilt_before_the_registry_rule_deletes_it() -> None:
    small = Small(
        rate_limit=1000, image_days=21, builder="codebuild", registry="https://example.org/x", launcher="kubernetes"
    )
    attempts = [launched(small).attempt]
    for _ in range(19):
        swept(small, 20)
        attempts.append(launched(small).attempt)
    assert attempts == [1] * 19 + [2]  # The last launch is on day 380.
