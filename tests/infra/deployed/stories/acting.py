"""Steps of stories."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from bindery.domain.builds import BuildOrder, BuildReport, BuildState
from bindery.domain.environment import Environment
from bindery.domain.errors import BuildFailed, BuildServiceDown, SessionRefused
from bindery.domain.failure import Failure
from bindery.domain.launch import Stage
from bindery.domain.messages import Message
from bindery.domain.sessions import SessionState
from tests.infra.deployed.system import DEAD, Deployed, Waiting

LINK = "gh/o/r/HEAD"
FAILED = BuildReport(BuildState.FAILED, failure=Failure.of(BuildFailed(step="postBuild", why="exit status 1")))


def created(deployment: Deployed, spec: str = "o/r/HEAD") -> tuple[str, str]:
    """Create a launch by the API; return it and its launcher's token."""
    answer = deployment.web("AnswerApi", "POST", "/api/launches", {"provider": "gh", "spec": spec})
    assert answer["statusCode"] == 201, answer
    launch, token = re.findall(r'"(?:id|launcher_token)": "([^"]+)"', answer["body"])
    return launch, token


def building(deployment: Deployed) -> str:
    """Return a launch with a build that was claimed and not started. The message about it is the last one that waits."""
    launch, _ = created(deployment)
    deployment.deliver(deployment.waiting.pop())
    assert deployment.launch(launch).stage is Stage.BUILDING
    assert deployment.waiting[-1].queue == "builds"
    return launch


def running(deployment: Deployed) -> str:
    """Return a launch with a running session."""
    launch, _ = created(deployment)
    deployment.settle()
    for handle in handles(deployment):
        deployment.ports.service.finish(handle)
    deployment.settle()
    assert deployment.launch(launch).stage is Stage.READY
    return launch


def building_with_a_session(deployment: Deployed) -> str:
    """Return a launch that lost its image while its session was started. The session's record stays, the image is
    built again.
    """
    launch = starting(deployment)
    deployment.ports.sessions.gone |= deployment.ports.service.images
    deployment.deliver(deployment.waiting.pop())
    deployment.ports.service.images.clear()
    deployment.deliver(deployment.waiting.pop())
    assert deployment.launch(launch).stage is Stage.BUILDING
    assert deployment.launch(launch).session
    return launch


def starting(deployment: Deployed) -> str:
    """Return a launch with a session that is to be started. The message about it is the last one that waits."""
    launch = building(deployment)
    deployment.settle()
    deployment.ports.service.finish(the_build(deployment))
    while deployment.ports.events.sent:
        deployment.deliver_event()
    assert deployment.waiting[-1].queue == "sessions"
    return launch


def handles(deployment: Deployed) -> list[str]:
    """Return the builds under way."""
    return deployment.ports.service.running()


def the_build(deployment: Deployed) -> str:
    """Return the only build under way."""
    (handle,) = handles(deployment)
    return handle


def environment(deployment: Deployed, launch: str) -> Environment:
    """Return the environment that a launch waits for, or runs in."""
    record = deployment.system.state.environments.find(deployment.launch(launch).environment)
    assert record
    return record


def lost(deployment: Deployed, seconds: float = 0) -> None:
    """Lose all messages on their way, and let time go by."""
    deployment.waiting.clear()
    deployment.ports.events.sent.clear()
    deployment.ports.time.advance(seconds)


def again(deployment: Deployed, message: Message) -> None:
    """Deliver a message that was sent long ago."""
    deployment.deliver(Waiting(message.queue, message.model_dump_json()))


def dead(deployment: Deployed, message: Message) -> None:
    """Deliver a dead letter, which no function could handle."""
    deployment.deliver(Waiting(DEAD, message.model_dump_json()))


@contextmanager
def ending_at_once(deployment: Deployed, report: BuildReport | None) -> Iterator[None]:
    """Make builds end before their handle is recorded.

    report: None for builds that are forgotten.
    """
    start = deployment.ports.service.start

    def started(order: BuildOrder) -> str:
        handle = start(order)
        if report:
            deployment.ports.service.finish(handle, report)
        else:
            del deployment.ports.service.reports[handle]
        return handle

    deployment.ports.service.start = started  # type: ignore[method-assign]
    yield
    deployment.ports.service.start = start  # type: ignore[method-assign]


def refusing(operation: str, session: str) -> None:
    """Refuse each start, as a cluster that admits no session."""
    if operation == "start":
        raise SessionRefused(why="by its own rules")


def down(_: object) -> NoReturn:
    """Fail as a build service that is down, for any request."""
    raise BuildServiceDown(why="no capacity")


def has_stopped(deployment: Deployed, launch: str) -> bool:
    """Return True if the launch's session has ended, in the table and in truth."""
    session = deployment.system.state.sessions.find(launch)
    return (
        session is not None and session.state is SessionState.ENDED and launch not in deployment.ports.sessions.running
    )


def reason(deployment: Deployed, launch: str) -> str:
    """Return the reason of the launch's failure. The text is empty if it did not fail."""
    failure = deployment.launch(launch).failure
    return failure.kind if failure else ""
