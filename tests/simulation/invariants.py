"""The design's rules as predicates: some hold after every write, some once everything is quiet."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from bindery.domain.launch import BUILT, ENDED, FOUND, WAITING, Launch, Stage
from bindery.domain.sessions import Session, SessionState
from bindery.ports.table import Delete, Item
from bindery.web.errors import BY_KIND, GENERAL, face_of
from tests.fakes.sessions import Running

MOST_EVENTS = 60
ORDER = {stage: place for place, stage in enumerate(Stage)}


class Broken(Exception):
    """A rule does not hold. about: the launch or the environment that it happened to."""

    def __init__(self, rule: str, about: str) -> None:
        super().__init__(rule)
        self.rule, self.about = rule, about


@dataclass
class Watched:
    """What is in the table, kept up to date with every write; objects: what the launcher runs."""

    objects: Mapping[str, Running]
    total: int | None
    per_repository: int | None
    launches: dict[str, Launch] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)

    def wrote(self, change: Item | Delete) -> None:
        """A write has just been made."""
        if isinstance(change, Delete):
            return
        if change.sk == "launch":
            self._launch(Launch.model_validate(change.data))
        elif change.sk == "session":
            self._session(Session.model_validate(change.data))

    def _launch(self, launch: Launch) -> None:
        before = self.launches.get(launch.id)
        self.launches[launch.id] = launch
        if before and before.stage in ENDED and before != launch:
            raise Broken(f"a launch that ended ({before.stage}) changed to {launch.stage}", launch.id)
        if before and launch.step < before.step:
            raise Broken("a launch went back in its steps", launch.id)
        if before and before.retries == launch.retries and ORDER[launch.stage] < ORDER[before.stage]:
            raise Broken(f"a launch went back from {before.stage} to {launch.stage}", launch.id)
        if any(launch.events.count(event) > launch.retries + 1 for event in (WAITING, FOUND, BUILT)):
            raise Broken("a launch took a step twice", launch.id)
        if len(launch.events) > MOST_EVENTS:
            raise Broken(f"a launch has {len(launch.events)} events", launch.id)
        if launch.stage is Stage.FAILED:
            check_reason(launch)

    def _session(self, session: Session) -> None:
        before = self.sessions.get(session.id)
        self.sessions[session.id] = session
        if before and before.state is SessionState.ENDED and session.state is not SessionState.ENDED:
            raise Broken("a session came back from the dead", session.id)
        alive = [each for each in self.sessions.values() if each.state is not SessionState.ENDED]
        if self.total is not None and len(alive) > self.total:
            raise Broken(f"{len(alive)} sessions, and the limit is {self.total}", session.id)
        own = sum(each.repo_url == session.repo_url for each in alive)
        if self.per_repository is not None and own > self.per_repository:
            raise Broken(f"{own} sessions of one repository, and the limit is {self.per_repository}", session.id)

    def check_ready(self, launch: Launch) -> None:
        """At the moment when a launch became ready."""
        if launch.build_only:
            return
        session = self.sessions.get(launch.session)
        if session is None or session.state is not SessionState.RUNNING or not session.url:
            raise Broken("a launch is ready without a running session", launch.id)
        if launch.session not in self.objects:
            raise Broken("a launch is ready and its session has no object", launch.id)


def check_reason(launch: Launch) -> None:
    """A failed launch has a reason that a person can read."""
    if launch.failure is None or launch.failure.kind not in BY_KIND:
        raise Broken(f"a launch failed without a reason: {launch.failure}", launch.id)
    if face_of(launch.failure).message == GENERAL.sentence:
        raise Broken(f"a launch failed for a reason without a face: {launch.failure}", launch.id)


def check_one_build_each(running: list[str]) -> None:
    """running: handles, `<environment>-<attempt>`."""
    for environment, builds in Counter(handle.rpartition("-")[0] for handle in running).items():
        if builds > 1:
            raise Broken(f"{builds} builds of one environment run at once", environment)


def check_all_ended(launches: Mapping[str, Launch]) -> None:
    """Where nothing was lost, no timer was needed."""
    for launch in launches.values():
        if launch.stage not in ENDED:
            raise Broken(f"nothing was lost, and a launch is still {launch.stage}", launch.id)


def check_quiet(items: list[Item], objects: Mapping[str, Running], running: list[str]) -> None:
    """Long after the last fault and the last visitor."""
    for item in items:
        _check_at_rest(item)
    if objects:
        raise Broken("an object is left without a session", next(iter(objects)))
    if running:
        raise Broken("a build still runs", running[0].rpartition("-")[0])


def _check_at_rest(item: Item) -> None:
    kind, _, about = item.pk.partition("#")
    if item.due_at is not None:
        raise Broken(f"a {kind} is still due", about)
    if "#waiters#" in item.pk:
        raise Broken(f"launch {item.sk} still waits for {about}", item.sk)
    if item.pk.startswith("places#") and item.data["taken"]:
        raise Broken(f"{item.data['taken']} places are still taken: {item.pk} {item.sk}", about)
    if item.sk == "launch" and Launch.model_validate(item.data).stage not in ENDED:
        raise Broken("a launch has not ended", about)
    if item.sk == "session" and item.data["state"] != SessionState.ENDED:
        raise Broken("a session has not ended", about)
