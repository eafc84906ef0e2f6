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


def created(there: Deployed, spec: str = "o/r/HEAD") -> tuple[str, str]:
    """Create a launch by the API; return it and its launcher's token."""
    answer = there.web("AnswerApi", "POST", "/api/launches", {"provider": "gh", "spec": spec})
    assert answer["statusCode"] == 201, answer
    launch, token = re.findall(r'"(?:id|launcher_token)": "([^"]+)"', answer["body"])
    return launch, token


def building(there: Deployed) -> str:
    """Return a launch with a build that was claimed and not started. The message about it is the last one that waits."""
    launch, _ = created(there)
    there.deliver(there.waiting.pop())
    assert there.launch(launch).stage is Stage.BUILDING
    assert there.waiting[-1].queue == "builds"
    return launch


def running(there: Deployed) -> str:
    """Return a launch with a running session."""
    launch, _ = created(there)
    there.settle()
    for handle in handles(there):
        there.ports.service.finish(handle)
    there.settle()
    assert there.launch(launch).stage is Stage.READY
    return launch


def building_with_a_session(there: Deployed) -> str:
    """Return a launch that lost its image while its session was started. The session's record stays, the image is
    built again.
    """
    launch = starting(there)
    there.ports.sessions.gone |= there.ports.service.images
    there.deliver(there.waiting.pop())
    there.ports.service.images.clear()
    there.deliver(there.waiting.pop())
    assert there.launch(launch).stage is Stage.BUILDING
    assert there.launch(launch).session
    return launch


def starting(there: Deployed) -> str:
    """Return a launch with a session that is to be started. The message about it is the last one that waits."""
    launch = building(there)
    there.settle()
    there.ports.service.finish(the_build(there))
    while there.ports.events.sent:
        there.tell()
    assert there.waiting[-1].queue == "sessions"
    return launch


def handles(there: Deployed) -> list[str]:
    """Return the builds under way."""
    return there.ports.service.running()


def the_build(there: Deployed) -> str:
    """Return the only build under way."""
    (handle,) = handles(there)
    return handle


def environment(there: Deployed, launch: str) -> Environment:
    """Return the environment that a launch waits for, or runs in."""
    record = there.system.state.environments.find(there.launch(launch).environment)
    assert record
    return record


def lost(there: Deployed, seconds: float = 0) -> None:
    """Lose all messages on their way, and let time go by."""
    there.waiting.clear()
    there.ports.events.sent.clear()
    there.ports.time.advance(seconds)


def again(there: Deployed, message: Message) -> None:
    """Deliver a message that was sent long ago."""
    there.deliver(Waiting(message.queue, message.model_dump_json()))


def dead(there: Deployed, message: Message) -> None:
    """Deliver a dead letter, which no function could handle."""
    there.deliver(Waiting(DEAD, message.model_dump_json()))


@contextmanager
def ending_at_once(there: Deployed, report: BuildReport | None) -> Iterator[None]:
    """Make builds end before their handle is recorded.

    report: None for builds that are forgotten.
    """
    start = there.ports.service.start

    def started(order: BuildOrder) -> str:
        handle = start(order)
        if report:
            there.ports.service.finish(handle, report)
        else:
            del there.ports.service.reports[handle]
        return handle

    there.ports.service.start = started  # type: ignore[method-assign]
    yield
    there.ports.service.start = start  # type: ignore[method-assign]


def refusing(operation: str, session: str) -> None:
    """Refuse each start, as a cluster that admits no session."""
    if operation == "start":
        raise SessionRefused(why="by its own rules")


def down(_: object) -> NoReturn:
    """Fail as a build service that is down, for any request."""
    raise BuildServiceDown(why="no capacity")


def has_stopped(there: Deployed, launch: str) -> bool:
    """Return True if the launch's session has ended, in the table and in truth."""
    session = there.system.state.sessions.find(launch)
    return session is not None and session.state is SessionState.ENDED and launch not in there.ports.sessions.running


def reason(there: Deployed, launch: str) -> str:
    """Return the reason of the launch's failure. The text is empty if it did not fail."""
    failure = there.launch(launch).failure
    return failure.kind if failure else ""
