"""The design's rules as predicates on every write: the allowed changes of launches, sessions and environments, and
the stored data.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from bindery.domain.environment import Environment, EnvironmentState, Scope
from bindery.domain.launch import BUILT, ENDED, FOUND, WAITING, Launch, Stage
from bindery.domain.sessions import Session, SessionState
from bindery.ports.table import Delete, Item
from bindery.usecases.steps.run_step import MAX_UNREPORTED_STARTS
from tests.simulation.broken import Broken
from tests.simulation.hosts import is_own
from tests.simulation.turns import Turns

MOST_EVENTS = 60
SHORTEST_TOKEN = 32
TOKENS = re.compile("[0-9a-f]{32,}")
ORDER = {stage: place for place, stage in enumerate(Stage)}
AFTER = {
    None: {SessionState.STARTING},
    SessionState.STARTING: {SessionState.STARTING, SessionState.RUNNING, SessionState.STOPPING, SessionState.ENDED},
    SessionState.RUNNING: {SessionState.RUNNING, SessionState.STOPPING, SessionState.ENDED},
    SessionState.STOPPING: {SessionState.STOPPING, SessionState.ENDED},
    SessionState.ENDED: set(),  # its tombstone is written once, with the places that it gives back
}


@dataclass
class Watched:
    """The content of the table, updated with every write.

    total, per_repository: limits. tokens: of all sessions.
    failed, became_ready, outcome, stopping: called with a launch, an environment, a session (with its earlier state)
    at that moment.
    left: the time when a launch last ceased to wait for an environment. waiters: by environment, the time when each
    launch registered as waiting for it.
    last_left: the time when a registered launch last ceased to wait for an environment.
    """

    total: int | None
    per_repository: int | None
    tokens: set[str]
    failed: Callable[[Launch | None, Launch], None]
    became_ready: Callable[[Launch], None]
    outcome: Callable[[Environment], None]
    turns: Turns
    launches: dict[str, Launch] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    environments: dict[str, Environment] = field(default_factory=dict)
    alive: Counter[str] = field(default_factory=Counter)
    alive_of: Counter[str] = field(default_factory=Counter)
    left: dict[str, float] = field(default_factory=dict)
    waiters: defaultdict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    last_left: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.turns.is_making = lambda key, attempt: self.environments[key].is_making(attempt)

    def wrote(self, change: Item | Delete) -> None:
        """Take note of a write that has just been made."""
        self.turns.wrote(change)
        self._note_waiter(change)
        if isinstance(change, Delete):
            if change.item.sk in ("launch", "session", "environment"):
                raise Broken(f"a {change.item.sk} was deleted", change.item.pk.partition("#")[2])
            return
        if change.sk == "launch":
            self._launch(Launch.model_validate(change.data))
        elif change.sk == "session":
            self._session(Session.model_validate(change.data))
        elif change.sk == "environment":
            self._environment(Environment.model_validate(change.data))
        if change.sk != "session":
            self.check_no_token(str(change.data), change.pk)

    def check_no_token(self, text: str, about: str) -> None:
        """Check that no session's token is in this text. It is only in its own record, not in data that others may
        read.
        """
        if any(word in self.tokens for word in TOKENS.findall(text)):
            raise Broken(f"a session's token stands in {text[:80]!r}", about)

    def _note_waiter(self, change: Item | Delete) -> None:
        item = change.item if isinstance(change, Delete) else change
        _, _, rest = item.pk.partition("environment#")
        environment, separator, _ = rest.partition("#waiters#")
        if separator and isinstance(change, Delete):
            self.waiters[environment].pop(item.sk, None)
        elif separator:
            self.waiters[environment].setdefault(item.sk, self.turns.around.now)

    def waited_since(self, environment: str, since: float) -> bool:
        """Return True if a launch, registered as waiting since that time, still waits for the environment."""
        registered = [launch for launch, at in self.waiters[environment].items() if at < since]
        return any(_awaited(self.launches[launch]) == environment for launch in registered)

    def is_wanted(self, environment: str, since: float) -> bool:
        """Return True if a launch waits for the environment's build, or has waited since then."""
        newest_first = reversed(self.launches.values())  # most launches that wait are new
        waits = any(_awaited(launch) == environment for launch in newest_first)
        return waits or self.left.get(environment, 0) >= since

    def _launch(self, now: Launch) -> None:
        before = self.launches.get(now.id)
        self.launches[now.id] = now
        if before and (former := _awaited(before)) and former != _awaited(now):
            self.left[former] = self.turns.around.now
            if now.id in self.waiters[former]:
                self.last_left[former] = self.turns.around.now
        if before:
            check_launch(before, now)
        if any(now.events.count(event) > now.retries + 1 for event in (WAITING, FOUND, BUILT)):
            raise Broken("a launch took a step twice", now.id)
        if len(now.events) > MOST_EVENTS:
            raise Broken(f"a launch has {len(now.events)} events", now.id)
        if now.begun > MAX_UNREPORTED_STARTS:
            raise Broken("a step that may have crashed twice was begun once more", now.id)
        if before and before.stage in ENDED:
            return
        if now.stage is Stage.FAILED:
            self.failed(before, now)
        if now.stage is Stage.READY:
            self.became_ready(now)

    def _session(self, now: Session) -> None:
        before = self.sessions.get(now.id)
        self.sessions[now.id] = now
        if now.state not in AFTER[before.state if before else None]:
            raise Broken(f"a session went from {before and before.state} to {now.state}", now.id)
        if before and now.token not in (before.token, ""):
            raise Broken("a session's token changed", now.id)
        if before is None:
            self._new_session(now)
        self._count(before, now)

    def _count(self, before: Session | None, now: Session) -> None:
        """Count the session's change against the limits."""
        was = before is not None and before.state is not SessionState.ENDED
        self.alive[now.repo_url] += (now.state is not SessionState.ENDED) - was
        total, own = self.alive.total(), self.alive[now.repo_url]
        if self.total is not None and total > self.total:
            raise Broken(f"{total} sessions, and the limit is {self.total}", now.id)
        client, most = self.launches[now.id].client, self.turns.limits.client_sessions
        self.alive_of[client] += (now.state is not SessionState.ENDED) - was
        if most is not None and client and self.alive_of[client] > most:
            raise Broken(f"{self.alive_of[client]} sessions of one client, and the limit is {most}", now.id)
        if self.per_repository is not None and own > self.per_repository:
            raise Broken(f"{own} sessions of one repository, and the limit is {self.per_repository}", now.id)

    def _new_session(self, session: Session) -> None:
        if len(session.token) < SHORTEST_TOKEN:
            raise Broken("a session's token can be guessed", session.id)
        if session.token in self.tokens:
            raise Broken("two sessions have one token", session.id)
        if session.id not in self.launches or session.owner != self.launches[session.id].owner:
            raise Broken("a session is not its launch's", session.id)
        self.tokens.add(session.token)

    def _environment(self, now: Environment) -> None:
        before = self.environments.get(now.key)
        self.environments[now.key] = now
        check_environment(before, now)
        check_source(now)
        if now.state is not EnvironmentState.BUILDING:
            self.outcome(now)


def _awaited(launch: Launch) -> str:
    """Return the environment that the launch waits for."""
    return launch.environment if launch.stage is Stage.BUILDING else ""


def check_launch(before: Launch, now: Launch) -> None:
    """Check that a launch goes forward, and that it does not change after its end."""
    if before.stage in ENDED and before != now:
        raise Broken(f"a launch that ended ({before.stage}) changed to {now.stage}", now.id)
    if now.step < before.step or now.retries < before.retries:
        raise Broken("a launch went back in its steps", now.id)
    if before.retries == now.retries and ORDER[now.stage] < ORDER[before.stage]:
        raise Broken(f"a launch went back from {before.stage} to {now.stage}", now.id)
    if before.stage is not now.stage and now.step == before.step and now.stage is not Stage.STARTING:
        raise Broken(f"a launch entered {now.stage} without a step", now.id)
    if (before.owner, before.spec, before.deadline) != (now.owner, now.spec, now.deadline):
        raise Broken("a launch became another's", now.id)


def check_environment(before: Environment | None, now: Environment) -> None:
    """Check that attempts follow one after the other, each with one outcome."""
    if before is None:
        right = now.attempt == 1 and now.state is EnvironmentState.BUILDING
    elif now.attempt == before.attempt and (now.claimed_by, now.repository) != (before.claimed_by, before.repository):
        right = False
    elif now.state is EnvironmentState.EVICTED:
        right = before.state in (EnvironmentState.READY, EnvironmentState.EVICTED) and now.attempt == before.attempt
    elif now.attempt == before.attempt:
        right = before.state is EnvironmentState.BUILDING or (now.state, now.image, now.failure) == (
            before.state,
            before.image,
            before.failure,
        )
    else:
        right = (
            now.attempt == before.attempt + 1
            and now.state is EnvironmentState.BUILDING
            and before.state is not EnvironmentState.BUILDING
        )
    if not right:
        was = f"{before.state} of attempt {before.attempt}" if before else "nothing"
        raise Broken(f"an environment went from {was} to {now.state} of attempt {now.attempt}", now.key)


def check_source(environment: Environment) -> None:
    """Check the source of an environment.

    An environment that commits share is built from a commit that no stranger made; another one is built from its own
    commit.
    """
    if environment.scope is Scope.COMMIT:
        if environment.inputs["commit"] != environment.repository.ref:
            raise Broken("the environment of one commit is built from another", environment.key)
    elif not is_own(environment.repository):
        raise Broken("a shared environment is built from a commit that is on no branch", environment.key)


def check_builds(running: list[str], started: list[str], forgotten: Counter[str], slots: int) -> None:
    """Check the builds.

    running: handles, `<environment>-<attempt>`, of those that work. started: all that ever were. forgotten: counts,
    by the service.
    """
    if len(running) > slots:
        raise Broken(f"{len(running)} builds run, and there are {slots} slots", running[-1].rpartition("-")[0])
    for environment, builds in Counter(handle.rpartition("-")[0] for handle in running).items():
        if builds > 1:
            raise Broken(f"{builds} builds of one environment run at once", environment)
    for handle, times in Counter(started).items():
        if times > 1 + forgotten[handle]:
            raise Broken("an attempt was begun twice", handle.rpartition("-")[0])
