"""A launch as the event stream reads it."""

from dataclasses import dataclass, field

from bindery.domain.failure import Failure
from bindery.domain.launch import Event, Launch, Stage
from bindery.domain.launch_request import LaunchRequest, OpenedLaunch, Rate, StreamCursor, StreamEvent
from bindery.domain.repository import Repository
from bindery.domain.sessions import Session, SessionState
from bindery.domain.tokens import Tokens

REPOSITORY = Repository(
    provider="gh",
    spec="o/r/HEAD",
    ref="c" * 40,
    resolved_spec=f"o/r/{'c' * 40}",
    clone_url="https://github.com/o/r",
    repo_url="https://github.com/o/r",
    ref_url=f"https://github.com/o/r/tree/{'c' * 40}",
)
TOKENS = Tokens("s" * 40)
SESSION = Session(
    id="l", owner="o", token="t" * 40, repo_url="u", state=SessionState.RUNNING, created_at=0, url="http://127.0.0.1:9/"
)


def launch(*events: Event, stage: Stage = Stage.RESOLVING, **changes: object) -> Launch:
    base = {
        "id": "l",
        "provider": "gh",
        "spec": "o/r/HEAD",
        "repo_url": "u",
        "owner": "o",
        "created_at": 0,
        "deadline": 9,
    }
    more = {"launch_host": "http://testserver/", "repository": REPOSITORY, "session": "l", **changes}
    return Launch.model_validate({**base, **more, "stage": stage, "events": events})


@dataclass
class Story:
    """A sequence of looks at a launch, returned one after the other. An error among them is raised, and the last look is repeated."""

    looks: list[Launch | Exception]
    found: Session | Failure = SESSION
    requests: list[LaunchRequest] = field(default_factory=list)
    cursors: list[StreamCursor] = field(default_factory=list)
    refuse: Exception | None = None
    resumed_at: str = ""
    before: list[int | Exception | None] = field(default_factory=lambda: [None])

    def open(self, request: LaunchRequest) -> OpenedLaunch:
        self.requests.append(request)
        if self.refuse:
            raise self.refuse
        return OpenedLaunch(launch(), self.resumed_at, Rate(limit=10, remaining=9, reset=99))

    def __call__(self, launch: str, cursor: StreamCursor) -> tuple[Launch, list[StreamEvent]]:
        self.cursors.append(cursor)
        now = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(now, Exception):
            raise now
        news = now.events[cursor.events :]
        return now, [StreamEvent(event, StreamCursor(cursor.events + n, 0, None)) for n, event in enumerate(news, 1)]

    def builds_before(self, launch: Launch) -> int | None:
        now = self.before.pop(0) if len(self.before) > 1 else self.before[0]
        if isinstance(now, Exception):
            raise now
        return now

    def builds_refused(self, launch: Launch) -> str:
        return ""

    def session(self, launch: Launch) -> Session | Failure:
        return self.found
