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
def a_host_does_not_answer(deployment: Deployed) -> None:
    launch, _ = created(deployment)
    deployment.ports.host.trouble = HostUnreachable(host="host.example", why="it is down")
    deployment.settle()
    assert deployment.launch(launch).failure == Failure.of(deployment.ports.host.trouble)


@story
def the_house_is_full(deployment: Deployed) -> None:
    for _ in range(PLACES):
        running(deployment)
    launch, _ = created(deployment)
    deployment.settle()
    assert reason(deployment, launch) == "QuotaReached"


@story
def an_image_is_gone(deployment: Deployed) -> None:
    running(deployment)
    deployment.ports.service.images.clear()
    running(deployment)
    assert len(deployment.ports.service.started) == 2


@story
def the_build_service_is_down_while_a_session_starts(deployment: Deployed) -> None:
    launch = starting(deployment)
    deployment.ports.sessions.gone |= deployment.ports.service.images
    deployment.ports.service.image_exists = down  # type: ignore[method-assign, assignment]
    deployment.settle()
    assert reason(deployment, launch) == "BuildServiceDown"
    assert has_stopped(deployment, launch)


@story
def the_one_who_records_a_build_is_killed_halfway(deployment: Deployed) -> None:
    launch = building(deployment)
    built = environment(deployment, launch)
    deployment.system.state.environments.finish(built.key, built.attempt, image="fake/image")
    lost(deployment)
    again(deployment, ResolveRequested(launch=launch, step=deployment.launch(launch).step - 1))
    assert [letter.queue for letter in deployment.waiting] == ["sessions"]


@story
def a_build_fails(deployment: Deployed) -> None:
    launch = building(deployment)
    deployment.settle()
    deployment.ports.service.finish(the_build(deployment), FAILED)
    deployment.settle()
    assert reason(deployment, launch) == "BuildFailed"


@story
def a_build_is_forgotten(deployment: Deployed) -> None:
    launch = building(deployment)
    deployment.settle()
    (handle,) = handles(deployment)
    deployment.ports.service.finish(handle)
    del deployment.ports.service.reports[handle]
    deployment.settle()
    assert deployment.launch(launch).attempt == 2


@story
def a_build_ends_before_anybody_knows_of_it(deployment: Deployed) -> None:
    launch = building(deployment)
    with ending_at_once(deployment, BuildReport(BuildState.SUCCEEDED, image="fake/image")):
        deployment.deliver(deployment.waiting.pop())
    deployment.ports.events.sent.clear()
    deployment.settle()
    assert deployment.launch(launch).stage is Stage.READY


@story
def a_build_is_forgotten_at_once(deployment: Deployed) -> None:
    launch = building(deployment)
    with ending_at_once(deployment, None):
        deployment.deliver(deployment.waiting.pop())
    deployment.settle()
    assert deployment.launch(launch).attempt == 2


@story
def a_second_build_fails_at_once(deployment: Deployed) -> None:
    launch = building_with_a_session(deployment)
    with ending_at_once(deployment, FAILED):
        deployment.deliver(deployment.waiting.pop())
    deployment.settle()
    assert reason(deployment, launch) == "BuildFailed"


@story
def a_second_build_fails(deployment: Deployed) -> None:
    launch = building_with_a_session(deployment)
    deployment.settle()
    deployment.ports.service.finish(the_build(deployment), FAILED)
    deployment.settle()
    assert reason(deployment, launch) == "BuildFailed"


def three_for_two_slots(deployment: Deployed) -> None:
    """Start three builds for two slots, so the third waits in line.

    Each has its own client and owner, because a single one would get only one slot.
    """
    for number, name in enumerate(("o/a", "p/b", "q/c"), 1):
        deployment.client = f"192.0.2.{number}"
        deployment.ports.host.heads[name] = COMMIT
        created(deployment, f"{name}/HEAD")
    deployment.settle()
    assert len(handles(deployment)) == 2


@story
def a_build_waits_in_line(deployment: Deployed) -> None:
    three_for_two_slots(deployment)
    deployment.ports.service.finish(handles(deployment)[0])
    deployment.settle()
    assert len(handles(deployment)) == 2


@story
def a_line_goes_on_although_an_event_was_lost(deployment: Deployed) -> None:
    three_for_two_slots(deployment)
    first = deployment.ports.service.started[0]
    deployment.ports.service.finish(handles(deployment)[0])
    lost(deployment)
    again(deployment, BuildRequested(environment=first.environment, attempt=1))
    deployment.settle()
    assert len(handles(deployment)) == 2


@story
def another_claims_the_next_attempt_before_this_one_has_heard(deployment: Deployed) -> None:
    first = building(deployment)
    deployment.settle()
    deployment.ports.service.finish(the_build(deployment), FAILED)
    built = environment(deployment, first)
    deployment.system.state.environments.finish(built.key, built.attempt, failure=FAILED.failure)
    lost(deployment)
    building(deployment)
    again(deployment, ResolveRequested(launch=first, step=deployment.launch(first).step - 1))
    assert reason(deployment, first) == "BuildFailed"
