"""Stories from a link to an image, with the failures on the way."""

from bindery.domain.builds import BuildReport, BuildState
from bindery.domain.errors import HostUnreachable
from bindery.domain.failure import Failure
from bindery.domain.launch import Stage
from bindery.domain.messages import BuildRequested, ResolveRequested
from tests.fakes.host import COMMIT
from tests.infra.deployed.stories.acting import (
    FAILED,
    again,
    building,
    building_with_a_session,
    created,
    down,
    ending_at_once,
    environment,
    handles,
    has_stopped,
    lost,
    reason,
    running,
    starting,
    the_build,
)
from tests.infra.deployed.stories.telling import story
from tests.infra.deployed.system import PLACES, Deployed


@story
def a_host_does_not_answer(there: Deployed) -> None:
    launch, _ = created(there)
    there.ports.host.trouble = HostUnreachable(host="host.example", why="it is down")
    there.settle()
    assert there.launch(launch).failure == Failure.of(there.ports.host.trouble)


@story
def the_house_is_full(there: Deployed) -> None:
    for _ in range(PLACES):
        running(there)
    launch, _ = created(there)
    there.settle()
    assert reason(there, launch) == "QuotaReached"


@story
def an_image_is_gone(there: Deployed) -> None:
    running(there)
    there.ports.service.images.clear()
    running(there)
    assert len(there.ports.service.started) == 2


@story
def the_build_service_is_down_while_a_session_starts(there: Deployed) -> None:
    launch = starting(there)
    there.ports.sessions.gone |= there.ports.service.images
    there.ports.service.image_exists = down  # type: ignore[method-assign, assignment]
    there.settle()
    assert reason(there, launch) == "BuildServiceDown"
    assert has_stopped(there, launch)


@story
def the_one_who_records_a_build_is_killed_halfway(there: Deployed) -> None:
    launch = building(there)
    built = environment(there, launch)
    there.system.state.environments.finish(built.key, built.attempt, image="fake/image")
    lost(there)
    again(there, ResolveRequested(launch=launch, step=there.launch(launch).step - 1))
    assert [letter.queue for letter in there.waiting] == ["sessions"]


@story
def a_build_fails(there: Deployed) -> None:
    launch = building(there)
    there.settle()
    there.ports.service.finish(the_build(there), FAILED)
    there.settle()
    assert reason(there, launch) == "BuildFailed"


@story
def a_build_is_forgotten(there: Deployed) -> None:
    launch = building(there)
    there.settle()
    (handle,) = handles(there)
    there.ports.service.finish(handle)
    del there.ports.service.reports[handle]
    there.settle()
    assert there.launch(launch).attempt == 2


@story
def a_build_ends_before_anybody_knows_of_it(there: Deployed) -> None:
    launch = building(there)
    with ending_at_once(there, BuildReport(BuildState.SUCCEEDED, image="fake/image")):
        there.deliver(there.waiting.pop())
    there.ports.events.sent.clear()
    there.settle()
    assert there.launch(launch).stage is Stage.READY


@story
def a_build_is_forgotten_at_once(there: Deployed) -> None:
    launch = building(there)
    with ending_at_once(there, None):
        there.deliver(there.waiting.pop())
    there.settle()
    assert there.launch(launch).attempt == 2


@story
def a_second_build_fails_at_once(there: Deployed) -> None:
    launch = building_with_a_session(there)
    with ending_at_once(there, FAILED):
        there.deliver(there.waiting.pop())
    there.settle()
    assert reason(there, launch) == "BuildFailed"


@story
def a_second_build_fails(there: Deployed) -> None:
    launch = building_with_a_session(there)
    there.settle()
    there.ports.service.finish(the_build(there), FAILED)
    there.settle()
    assert reason(there, launch) == "BuildFailed"


def three_for_two_slots(there: Deployed) -> None:
    """Start three builds for two slots, so the third waits in line.

    Each has its own client and owner, because a single one would get only one slot.
    """
    for number, name in enumerate(("o/a", "p/b", "q/c"), 1):
        there.client = f"192.0.2.{number}"
        there.ports.host.heads[name] = COMMIT
        created(there, f"{name}/HEAD")
    there.settle()
    assert len(handles(there)) == 2


@story
def a_build_waits_in_line(there: Deployed) -> None:
    three_for_two_slots(there)
    there.ports.service.finish(handles(there)[0])
    there.settle()
    assert len(handles(there)) == 2


@story
def a_line_goes_on_although_an_event_was_lost(there: Deployed) -> None:
    three_for_two_slots(there)
    first = there.ports.service.started[0]
    there.ports.service.finish(handles(there)[0])
    lost(there)
    again(there, BuildRequested(environment=first.environment, attempt=1))
    there.settle()
    assert len(handles(there)) == 2


@story
def another_claims_the_next_attempt_before_this_one_has_heard(there: Deployed) -> None:
    first = building(there)
    there.settle()
    there.ports.service.finish(the_build(there), FAILED)
    built = environment(there, first)
    there.system.state.environments.finish(built.key, built.attempt, failure=FAILED.failure)
    lost(there)
    building(there)
    again(there, ResolveRequested(launch=first, step=there.launch(first).step - 1))
    assert reason(there, first) == "BuildFailed"
