"""The whole system in memory, one message at a time, for tests that fix the exact order of events."""

from dataclasses import replace

from bindery.bootstrap import System
from bindery.domain.environment import Environment
from bindery.domain.launch import Launch, Stage
from bindery.domain.launch_request import LaunchRequest
from bindery.domain.messages import (
    BuildChanged,
    BuildRequested,
    LogWritten,
    Message,
    ResolveRequested,
    SessionRequested,
    StopRequested,
)
from bindery.domain.sessions import Session
from tests.fakes.builds import FakeBuilds
from tests.fakes.clock import FakeClock
from tests.fakes.host import FakeHost
from tests.fakes.ports import FakePorts, settings_of
from tests.fakes.queue import FakeQueue, Sent
from tests.fakes.sessions import FakeSessions
from tests.fakes.table import DictTable

OWN_ORIGIN = "https://bindery.example"
REQUEST = LaunchRequest("gh", "o/r/HEAD", "203.0.113.9", f"{OWN_ORIGIN}/", OWN_ORIGIN)


class InMemorySystem:
    """The use cases on fakes.

    bindery: the product as `bootstrap` makes it. settings: as the operator set them. isolated: True if sessions cannot touch the machine.
    """

    def __init__(self, *, isolated: bool = True, **settings: object) -> None:
        self.clock = FakeClock()
        self.table = DictTable()
        self.queue = FakeQueue()
        self.host = FakeHost()
        self.builds = FakeBuilds(self.queue)
        self.launcher = FakeSessions(self.clock)
        ports = FakePorts(self.table, self.queue, self.builds, self.launcher, self.clock, self.host, isolated)
        self.bindery = System(ports, settings_of(**settings))

    def token(self, spec: str = "o/r/HEAD", seconds: float = 300) -> str:
        """Return a fresh page's build token."""
        return self.bindery.tokens.build_token(f"gh/{spec}", "", self.clock.random_id(), self.clock.now() + seconds)

    def open(self, spec: str = "o/r/HEAD", *, build_only: bool = False, build_token: str = "") -> Launch:
        """Open a launch, as a click does."""
        request = replace(REQUEST, spec=spec, build_only=build_only, build_token=build_token)
        return self.bindery.open_launch(request).launch

    def launch(self, launch: Launch | str) -> Launch:
        """Return the launch as it is now."""
        return self.bindery.state.launches.get(launch if isinstance(launch, str) else launch.id)

    def session(self, launch: Launch) -> Session:
        """Return the launch's session as it is now."""
        record = self.bindery.state.sessions.find(launch.id)
        assert record, "no session"
        return record

    def handle(self, message: Message) -> None:
        """Hand the message to its function."""
        body = message.model_dump_json()  # only the serialised content arrives
        match message:
            case ResolveRequested():
                self.bindery.resolve_repository(ResolveRequested.model_validate_json(body))
            case BuildRequested():
                self.bindery.start_build(BuildRequested.model_validate_json(body))
            case SessionRequested():
                self.bindery.start_session(SessionRequested.model_validate_json(body))
            case StopRequested():
                self.bindery.stop_session(StopRequested.model_validate_json(body))
            case BuildChanged():
                self.bindery.record_build(BuildChanged.model_validate_json(body))
            case LogWritten():
                self.bindery.record_log(LogWritten.model_validate_json(body))

    def take(self) -> list[Sent]:
        """Take all messages out of the queue and return them."""
        messages, self.queue.sent[:] = list(self.queue.sent), []
        return messages

    def step(self) -> None:
        """Let the next message arrive, after its delay."""
        sent = self.queue.sent.pop(0)
        self.clock.advance(sent.delay)
        self.handle(sent.message)

    def pump(self, most: int = 100) -> None:
        """Let messages arrive, each one time, in order, after their delay, until the queue is empty."""
        for _ in range(most):
            if not self.queue.sent:
                return
            self.step()
        raise AssertionError(f"messages go round: {self.queue.sent}")

    def build(self) -> None:
        """Let every running build end well, and handle all messages that follow."""
        self.pump()
        for handle in self.builds.running():
            self.builds.finish(handle)
        self.pump()

    def ready(self, spec: str = "o/r/HEAD") -> Launch:
        """Return a launch that has become ready."""
        opened = self.open(spec)
        self.build()
        launch = self.launch(opened)
        assert launch.stage is Stage.READY, launch
        return launch

    def environment(self, launch: Launch) -> Environment:
        """Return the environment that the launch needs, as it is now."""
        environment = self.bindery.state.environments.find(launch.environment)
        assert environment, "no environment"
        return environment

    def queue_positions(self, *launches: Launch) -> list[int | None]:
        """Return the number of builds before that of each launch. None: it does not wait in line."""
        return [self.bindery.follow_launch.builds_before(self.launch(launch)) for launch in launches]

    def slots_are_free(self) -> bool:
        """Return True if no build has a slot or waits for one."""
        return not self.bindery.state.slots.held() and not self.bindery.state.slots.waiting()

    def waiters(self, key: str) -> list[str]:
        """Return the launches that are registered as waiting for the environment."""
        pages = self.bindery.state.environments.waiters(key, attempt=10**6)
        return [waiter.launch for page in pages for waiter in page]
