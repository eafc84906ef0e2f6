"""Stories from an image to a session."""

from tests.infra.deployed.stories.acting import created, reason, refusing, running, starting
from tests.infra.deployed.stories.telling import story
from tests.infra.deployed.system import PLACES, Deployed


@story
def a_session_takes_its_time(deployment: Deployed) -> None:
    deployment.ports.sessions.looks = 3
    running(deployment)


@story
def a_session_is_refused(deployment: Deployed) -> None:
    launch = starting(deployment)
    deployment.ports.sessions.before = refusing
    deployment.settle()
    assert reason(deployment, launch) == "SessionRefused"


@story
def two_want_the_last_place(deployment: Deployed) -> None:
    for _ in range(PLACES - 1):
        running(deployment)
    launches = [created(deployment)[0] for _ in range(2)]
    deployment.settle()
    assert sorted(reason(deployment, launch) for launch in launches) == ["", "QuotaReached"]
