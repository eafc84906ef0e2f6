"""Stories from an image to a session."""

from tests.infra.deployed.stories.acting import created, reason, refusing, running, starting
from tests.infra.deployed.stories.telling import story
from tests.infra.deployed.system import PLACES, Deployed


@story
def a_session_takes_its_time(there: Deployed) -> None:
    there.ports.sessions.looks = 3
    running(there)


@story
def a_session_is_refused(there: Deployed) -> None:
    launch = starting(there)
    there.ports.sessions.before = refusing
    there.settle()
    assert reason(there, launch) == "SessionRefused"


@story
def two_want_the_last_place(there: Deployed) -> None:
    for _ in range(PLACES - 1):
        running(there)
    launches = [created(there)[0] for _ in range(2)]
    there.settle()
    assert sorted(reason(there, launch) for launch in launches) == ["", "QuotaReached"]
