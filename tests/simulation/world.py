"""A world with a handful of visitors in which everything may fail, and the story of what happened in it."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random

from bindery.domain.errors import BinderyError, Throttled
from bindery.domain.launch import ENDED, Launch, Stage
from bindery.domain.rules import Rules
from bindery.ports.table import Delete, Item
from tests.simulation import faults as faulty
from tests.simulation.faults import Faults
from tests.simulation.hosts import SimProvider
from tests.simulation.invariants import (
    Broken,
    Watched,
    check_all_ended,
    check_one_build_each,
    check_quiet,
    check_reason,
)
from tests.simulation.ports import SimBuilds, SimSessions, SimTable
from tests.simulation.queues import DEAD, SETTINGS, Events, SimQueues
from tests.simulation.story import Told, story
from tests.simulation.tasks import Killed, Scheduler, Task, TaskClock
from tests.simulation.visitors import Visitor
from tests.simulation.wire import Limits, Ports, System, handlers, wire

PERIOD = 60.0
FOREVER, SLOWER = 1e9, 20
SLUGGISH = (
    *("", "", "put ", "get ", "query ", "transact ", "send ", "put launch", "get launch", "put environment"),
    *("get environment", "put session", "get session", "get build", "builds.start", "builds.look", "builds.has"),
    *("sessions.start", "sessions.wait", "sessions.stop", "sessions.objects", "waiters"),
)
"""In each world one kind of call takes much longer than the others: what is between its beginning and its end is found."""
TROUBLED_SECONDS = 1800.0
QUIET_SECONDS = 4500.0
TIMER_SECONDS = {"reconcile": 300.0, "cull_sessions": 120.0}
SPECS = (*["o/popular/HEAD"] * 5, *["o/other/HEAD"] * 3, "o/third/HEAD", "o/missing/HEAD")


class World:
    """run() lives through one seed; Broken says what is wrong with the code, and story() how it came about."""

    def __init__(self, seed: int, visitors: int | None = None, faults: Faults | None = None) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.calm = faults is None and self.random.random() < 0.3
        self.faults = faults or (faulty.CALM if self.calm else faulty.mixed(self.random))
        self.sluggish = self.random.choice(SLUGGISH)
        self.latency = self.random.choice((0.01, 0.01, 0.1, 0.5))
        self.injected: Counter[str] = Counter()
        self.told: list[Told] = []
        self.clock = TaskClock(seed)
        self.started = self.clock.time
        self.clock.scheduler = self.scheduler = Scheduler(self.clock)
        self.queues = SimQueues(self, self.random, self._deliver)
        self.table = SimTable(self, self._wrote)
        self.builds = SimBuilds(Events(self.queues))
        self.builds.world, self.builds.began = self, self._build_began
        self.sessions = SimSessions(self.clock)
        self.sessions.world, self.sessions.tokens = self, {}
        provider = SimProvider(self, self.clock)
        rules = Rules(
            total=self.random.choice((None, None, None, None, 1, 3, 17)),
            per_repository=self.random.choice((None, None, None, None, 1, 5)),
        )
        if self.calm:
            rules = Rules()
        self.watched = Watched(self.sessions.running, rules.total, rules.per_repository)
        ports = Ports(self.table, self.queues, self.builds, self.sessions, lambda _: provider, self.clock)
        self.system: System = wire(ports, rules, Limits(rate_limit=1000))
        self.visitors = [self._visitor(n) for n in range(visitors or self.random.choice((1, 2, 3, 4, 6, 9)))]
        self.late_comers = [self._visitor(100 + n) for n in range(6)]
        self.handlers: dict[str, Callable[[str], object]] = {**handlers(self.system), DEAD: self.system.fail_launch}

    def _visitor(self, number: int) -> Visitor:
        spec = self.random.choice(SPECS)
        build_only = self.random.random() < 0.1
        return Visitor(f"visitor {number}", spec, build_only, self.system, self.scheduler, self.random, self.happens)

    # What ports ask

    @property
    def now(self) -> float:
        return self.clock.time

    def happens(self, fault: str) -> bool:
        rate = float(getattr(self.faults, fault))
        if rate == 0 or self.random.random() >= rate:
            return False
        self.injected[fault] += 1
        if self.scheduler.task:
            self.scheduler.task.troubles += 1
        return True

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        self.scheduler.after(seconds, what)

    def wait(self, seconds: float) -> None:
        self.scheduler.pause(seconds)

    def before(self, call: str, *, table: bool = False) -> None:
        task = self.scheduler.task
        if task is None:
            return
        slow = self.random.random() * 20 if self.happens("slow") else 0
        self.scheduler.pause(self._lasts(call) + slow)
        self._note(task, call)
        if self.happens("killed"):
            self._note(task, "killed before it")
            raise Killed
        if table and self.happens("throttled"):
            self._note(task, "throttled")
            raise Throttled

    def after(self, call: str) -> None:
        task = self.scheduler.task
        if task and self.happens("killed"):
            self._note(task, f"killed after {call.partition(' ')[0]}")
            raise Killed
        self.scheduler.pause(self._lasts(call))

    def _lasts(self, call: str) -> float:
        """How long a call's way there or back takes: mostly little, now and then much longer than the next ten."""
        mean = min(1.5, SLOWER * self.latency) if self.sluggish and self.sluggish in call else self.latency
        return mean * self.random.expovariate(1)

    def build_planned(self, seconds: float) -> None:
        """Somebody may come just when a build ends: that is when things are missed."""
        while self.late_comers and self.random.random() < 0.8:
            visitor = self.late_comers.pop()
            self.scheduler.after(
                max(0.0, seconds - self.random.random() * 40 * self.latency), partial(self._arrive, visitor)
            )

    def _note(self, task: Task, what: str) -> None:
        self.told.append(Told(self.clock.time - self.started, task.name, task.about, what))

    # Functions and timers

    def _deliver(self, queue: str, body: str, done: Callable[[], None]) -> None:
        def work() -> None:
            if self._survives(lambda: self.handlers[queue](body)):
                done()

        about = next((launch for launch in self.watched.launches if launch in body), "")
        seconds = FOREVER if self.calm else SETTINGS[queue].visible
        self.scheduler.spawn(f"{queue} {len(self.told)}", about, seconds, work)

    def _survives(self, work: Callable[[], object]) -> bool:
        """Whether the function came to its end. What is none of our facts is a bug, and ends the seed."""
        try:
            work()
        except (BinderyError, Killed) as error:
            if self.scheduler.task:
                self._note(self.scheduler.task, f"ended by {error!r}")
            return False
        return True

    def _tick(self, timer: str, work: Callable[[], object]) -> None:
        self.scheduler.after(PERIOD, lambda: self._tick(timer, work))
        times = 0 if self.happens("timer_missed") else 2 if self.happens("timer_doubled") else 1
        for _ in range(times):
            self._sweep(timer, work)

    def _sweep(self, timer: str, work: Callable[[], object]) -> None:
        begun = self.clock.time

        def sweep() -> None:
            survived = self._survives(work)
            if survived and timer == "reconcile" and task.troubles == 0:
                self._check_deadlines(begun)

        task = self.scheduler.spawn(f"{timer} {len(self.told)}", "", TIMER_SECONDS[timer], sweep)

    def _check_deadlines(self, begun: float) -> None:
        """After a sweep without trouble nothing is left that was over its time before it began."""
        for launch in self.watched.launches.values():
            if launch.stage not in ENDED and launch.deadline < begun - 2 * PERIOD:
                raise Broken("a launch outlived its deadline and a sweep", launch.id)

    # What is checked

    def _wrote(self, change: Item | Delete) -> None:
        if isinstance(change, Item) and change.sk == "launch":
            launch = Launch.model_validate(change.data)
            old = self.watched.launches.get(launch.id)
            self.watched.wrote(change)
            if launch.stage is Stage.READY and (old is None or old.stage is not Stage.READY):
                # In a transaction the session is written first.
                self.watched.check_ready(launch)
            return
        self.watched.wrote(change)

    def _build_began(self, handle: str) -> None:
        self.told.append(Told(self.clock.time - self.started, "build service", "", f"begins {handle}"))
        check_one_build_each(self.builds.running())

    def run(self) -> None:
        """Trouble, then quiet, then everything must be as it was before anybody came."""
        try:
            for visitor in self.visitors:
                arrives = self.random.random() * self.random.choice((0.05, 5, 600))
                self.scheduler.after(arrives, partial(self._arrive, visitor))
            starts = TROUBLED_SECONDS if self.calm else PERIOD
            self.scheduler.after(starts, lambda: self._tick("reconcile", self.system.reconcile))
            self.scheduler.after(PERIOD / 2, lambda: self._tick("cull_sessions", self.system.cull_sessions))
            self.scheduler.run(self.started + TROUBLED_SECONDS)
            if self.calm:
                check_all_ended(self.watched.launches)
            self.faults, self.late_comers = Faults(), []
            self.sessions.ill_until = 0
            self.scheduler.run(self.started + TROUBLED_SECONDS + QUIET_SECONDS)
            check_quiet(self.table.real.items(), self.sessions.running, self.builds.running())
            self._check_stories()
        finally:
            self.scheduler.close()

    def _arrive(self, visitor: Visitor) -> None:
        self.scheduler.spawn(visitor.name, "", FOREVER, lambda: self._survives(visitor.live))

    def _check_stories(self) -> None:
        if self.queues.under_way:
            raise Broken(f"messages go round: {next(iter(self.queues.under_way.values()))}", "")
        tokens = self.sessions.tokens
        for launch in self.watched.launches.values():
            text = launch.model_dump_json()
            if any(token in text for token in tokens.values()):
                raise Broken("a session's token stands in a launch", launch.id)
            if launch.stage is Stage.FAILED:
                check_reason(launch)
        for visitor in (*self.visitors, *self.late_comers):
            if any(token in line for token in tokens.values() for line in visitor.heard):
                raise Broken("a session's token was told in an event", visitor.launch)

    def story(self, about: str) -> str:
        """What happened to a launch or an environment, readable, and how to see it again."""
        return story(self.told, about, self.injected, self.seed)
