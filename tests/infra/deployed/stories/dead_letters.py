"""Stories of messages that no function could handle."""

from bindery.domain.messages import BuildRequested, ResolveRequested, SessionRequested, StopRequested
from tests.infra.deployed.stories.acting import (
    building,
    building_with_a_session,
    created,
    dead,
    down,
    lost,
    reason,
    running,
    the_build,
)
from tests.infra.deployed.stories.telling import story
from tests.infra.deployed.system import Deployed, Waiting


@story
def letters_nobody_understands(deployment: Deployed) -> None:
    launch, _ = created(deployment)
    deployment.waiting[0].body = deployment.waiting[0].body.replace('"version":1', '"version":99')
    deployment.settle()
    assert reason(deployment, launch) == "StepFailed"
    deployment.waiting.append(Waiting("stops", "no JSON"))
    deployment.settle()


@story
def a_step_was_taken_and_what_came_next_was_lost(deployment: Deployed) -> None:
    launch = building(deployment)
    lost(deployment)
    dead(deployment, ResolveRequested(launch=launch, step=deployment.launch(launch).step - 1))
    assert deployment.waiting[-1].queue == "builds"
    deployment.settle()
    deployment.ports.service.finish(the_build(deployment))
    deployment.ports.events.sent.clear()
    dead(deployment, BuildRequested(environment=deployment.launch(launch).environment, attempt=1))
    assert deployment.waiting[-1].queue == "sessions"
    deployment.ports.sessions.gone |= deployment.ports.service.images
    deployment.deliver(deployment.waiting.pop())
    lost(deployment)
    dead(deployment, SessionRequested(launch=launch, step=deployment.launch(launch).step - 1))
    assert deployment.waiting[-1].queue == "resolve"


@story
def a_dead_letter_of_a_launch_with_a_session(deployment: Deployed) -> None:
    launch = building_with_a_session(deployment)
    deployment.settle()
    dead(deployment, SessionRequested(launch=launch, step=deployment.launch(launch).step))
    assert deployment.waiting[-1].queue == "stops"


@story
def a_build_cannot_be_started(deployment: Deployed) -> None:
    launch = building(deployment)
    deployment.ports.service.start = down  # type: ignore[method-assign, assignment]
    deployment.settle()
    assert reason(deployment, launch) == "StepFailed"


@story
def a_session_cannot_be_stopped(deployment: Deployed) -> None:
    dead(deployment, StopRequested(session=running(deployment), reason="by hand"))
