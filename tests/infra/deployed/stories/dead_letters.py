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
def letters_nobody_understands(there: Deployed) -> None:
    launch, _ = created(there)
    there.waiting[0].body = there.waiting[0].body.replace('"version":1', '"version":99')
    there.settle()
    assert reason(there, launch) == "StepFailed"
    there.waiting.append(Waiting("stops", "no JSON"))
    there.settle()


@story
def a_step_was_taken_and_what_came_next_was_lost(there: Deployed) -> None:
    launch = building(there)
    lost(there)
    dead(there, ResolveRequested(launch=launch, step=there.launch(launch).step - 1))
    assert there.waiting[-1].queue == "builds"
    there.settle()
    there.ports.service.finish(the_build(there))
    there.ports.events.sent.clear()
    dead(there, BuildRequested(environment=there.launch(launch).environment, attempt=1))
    assert there.waiting[-1].queue == "sessions"
    there.ports.sessions.gone |= there.ports.service.images
    there.deliver(there.waiting.pop())
    lost(there)
    dead(there, SessionRequested(launch=launch, step=there.launch(launch).step - 1))
    assert there.waiting[-1].queue == "resolve"


@story
def a_dead_letter_of_a_launch_with_a_session(there: Deployed) -> None:
    launch = building_with_a_session(there)
    there.settle()
    dead(there, SessionRequested(launch=launch, step=there.launch(launch).step))
    assert there.waiting[-1].queue == "stops"


@story
def a_build_cannot_be_started(there: Deployed) -> None:
    launch = building(there)
    there.ports.service.start = down  # type: ignore[method-assign, assignment]
    there.settle()
    assert reason(there, launch) == "StepFailed"


@story
def a_session_cannot_be_stopped(there: Deployed) -> None:
    dead(there, StopRequested(session=running(there), reason="by hand"))
