"""A world with a handful of visitors in which every call may fail, and the story of its events."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from bindery.bootstrap import System
from bindery.domain.builds import BuildOrder
from bindery.domain.environment import Environment
from bindery.domain.errors import BinderyError
from bindery.domain.launch import Launch, Stage
from bindery.domain.messages import Message
from bindery.domain.sessions import SessionState
from bindery.ports.table import Delete, Item
from bindery.usecases.steps.running_here import RunningHere
from bindery_local.memory_queue import Delivery
from tests.fakes.ports import FakePorts, settings_of
from tests.simulation import faults as faulty
from tests.simulation import rest
from tests.simulation.around import Around
from tests.simulation.broken import Broken
from tests.simulation.builds import SimBuilds
from tests.simulation.faults import Faults
from tests.simulation.functions import TEMPLATE, Functions
from tests.simulation.hosts import SimProvider
from tests.simulation.invariants import Watched, check_builds
from tests.simulation.logs import listening
from tests.simulation.memory import without_collection
from tests.simulation.queues import SETTINGS, Events, SimQueues
from tests.simulation.sessions import SimSessions
from tests.simulation.story import Entry, story
from tests.simulation.tables import SimTable
from tests.simulation.tasks import Killed, Task
from tests.simulation.truths import Truths
from tests.simulation.turns import Limits, Turns
from tests.simulation.versions import Deploy, understood
from tests.simulation.visitors import Visitor

PERIOD, FOREVER = 60.0, 1e9
TROUBLED_SECONDS = 1800.0
QUIET_SECONDS = 6000.0
TOLD_SECONDS = 30.0
DAY_SECONDS = 1500.0
"""For images: longer than a launch takes, as a real day is."""
PATIENT_SECONDS = 3600.0
"""Until the first timer, in worlds that need none."""
TIMERS = {timer.function.module.split(".")[1]: timer.function for timer in TEMPLATE.timers}
TIMER_SECONDS = {"reconcile": 300.0, "cull_sessions": 120.0}
DEAD = "DeadLetters"
TOTALS, OWN_TOTALS = (None, None, None, None, 1, 3, 17), (None, None, None, None, 1, 5)
SLOTS = (1, 1, 2, 3)
SHARES, IN_LINE, OWN_SESSIONS = (None, 1, 1, 2), (None, None, 1, 3), (None, None, 1, 4)
CLIENTS = ("203.0.113.9", "203.0.113.9", "2001:db8::9", "127.0.0.1")
SPECS = (
    *("o/popular/HEAD", "o/popular/HEAD", "o/popular/HEAD", "o/popular/HEAD", "o/popular/HEAD", "o/popular/pull"),
    *("o/popular/id", "o/other/HEAD", "o/other/HEAD", "o/other/HEAD", "o/other/pull", "o/third/HEAD", "o/missing/HEAD"),
)


class Apart(RunningHere):
    """A system for a function in a process of its own. It knows no other function's state."""

    def runs(self, launch: str, step: int) -> bool:
        return False


class World:
    """A world with a method run() that lives through one seed. Broken names the bug in the code, and story() tells
    its events.
    """

    def __init__(
        self,
        seed: int,
        visitors: int | None = None,
        faults: Faults | None = None,
        *,
        quota: int = 0,
        slots: int = 0,
        quiet: bool = False,
    ) -> None:
        self.seed = seed
        self.around = around = Around(seed, quiet=quiet)
        self.random = random = around.random
        climate = random.random() if faults is None else 1
        self.timeless = climate < 0.4  # no message is lost, so no timer is needed
        self.calm = climate < 0.2
        around.faults = self._faults = faults or self._climate()
        self.deploy = Deploy.some(random, around.now) if around.happens("deploys") else Deploy()
        self.sessions = SimSessions(around.clock, around=around)
        self.queues = SimQueues(around, self._deliver, self._deliver_request, self._buried)
        self.queues.patient = self.timeless
        self.table = SimTable(around, self._wrote)
        self.builds = SimBuilds(around, Events(self.queues), self.table.real, self._build_began, self._build_planned)
        total, own = (None, None) if self.timeless else (random.choice(TOTALS), random.choice(OWN_TOTALS))
        if quota:
            total = own = quota
        limits = {"quota_total": total, "quota_per_repository": own, "max_age_seconds": random.choice((3600, 1200))}
        shared = self._shares(slots or random.choice(SLOTS), crowd=bool(quota))
        limits |= {
            "own_refs_only": not quota and random.random() < 0.2,
            "build_slots": shared.slots,
            "client_builds": shared.client,
            "client_line": shared.client_in_line,
            "owner_builds": shared.owner,
            "owner_line": shared.owner_in_line,
            "client_sessions": shared.client_sessions,
            "page_rate_limit": 60,
            "client_streams": 10,
        }
        limits["image_days"] = 0 if quota else 1
        settings = settings_of(rate_limit=1000, idle_seconds=60 if quota else 600, **limits)
        self.host = SimProvider(around)
        ports = FakePorts(self.table, self.queues, self.builds, self.sessions, around.clock, self.host)
        self.system = System(ports, settings)
        self.system.running_here = Apart()
        state = self.system.state
        vars(self.system)["state"] = replace(state, environments=replace(state.environments, day_seconds=DAY_SECONDS))
        self.builds.removing = self._image_goes
        self.truths = truths = Truths(around, self.builds, self.sessions, self.system)
        hooks, turns = (truths.failed, truths.ready, self._outcome), Turns(shared, around, self._turn_came)
        self.watched = truths.watched = Watched(total, own, set(), *hooks, turns)
        self.builds.stops = self._build_stops
        self.functions = Functions(self.system)
        self.visitors = [self._visitor(n) for n in range(visitors or random.choice((1, 2, 3, 4, 6, 9)))]
        self.late_comers = [self._visitor(100 + n) for n in range(6)]

    def _shares(self, slots: int, *, crowd: bool) -> Limits:
        """Return the limits of one client and one owner.

        In crowds of clients they are as documented, without a limit for owners, because there is one owner.
        """
        if crowd:
            return Limits(slots, client=1, client_in_line=3, client_sessions=10)
        some = self.random.choice
        return Limits(slots, some(SHARES), some(IN_LINE), some(SHARES), some(IN_LINE), some(OWN_SESSIONS))

    def _climate(self) -> Faults:
        most = faulty.CALM if self.calm else faulty.ROUGH if self.timeless else faulty.MOST
        return faulty.mixed(self.random, most)

    def _visitor(self, number: int) -> Visitor:
        spec, build_only = self.random.choice(SPECS), self.random.random() < 0.1
        stops, address = self.truths.stopped.add, self.random.choice(CLIENTS)
        return Visitor(f"visitor {number}", spec, build_only, self.system, self.around, stops, address=address)

    # The world's own life

    def run(self, troubled: float = TROUBLED_SECONDS) -> None:
        """Run a time of trouble and then a quiet time. Afterwards the state must be as it was before the first
        visitor came.
        """
        around, scheduler = self.around, self.around.scheduler
        with without_collection(), listening(lambda line: self.watched.check_no_token(line, "")):
            try:
                for visitor in self.visitors:
                    arrives = self.random.random() * self.random.choice((0.05, 5, 600))
                    around.later(arrives, partial(self.arrive, visitor))
                around.later(self.random.random() * 600, self._push)
                around.later(PATIENT_SECONDS if self.timeless else PERIOD, lambda: self._tick("reconcile"))
                around.later(PERIOD / 2, lambda: self._tick("cull_sessions"))
                scheduler.run(around.started + troubled)
                around.faults, self.late_comers, self.sessions.ill_until = Faults(), [], 0
                if self.timeless:
                    scheduler.run(around.started + PATIENT_SECONDS)
                    rest.check_all_ended(self.watched.launches, self.truths.orphaned)
                scheduler.run(around.started + troubled + QUIET_SECONDS)
                self._check_rest()
            finally:
                scheduler.close()

    def arrive(self, visitor: Visitor) -> None:
        task = self._spawn(visitor.name, "", FOREVER, lambda: self._survives(visitor.live))
        task.spared = self.timeless

    def _push(self) -> None:
        """Push a commit. The host has it built before a visitor asks for it."""
        if self.around.happens("pushes"):
            self.host.pushed += self.random.choice((1, 1, 2))
            visitor = self._visitor(200)
            visitor.build_only = True
            self.arrive(visitor)

    def _image_goes(self, image: str) -> None:
        """Check that no session that runs loses its image, nor does a launch that is about to start one."""
        for session in self.watched.sessions.values():
            if session.state is SessionState.RUNNING and session.image == image:
                raise Broken("an image is deleted, and a session runs in it", session.id)
        for launch in self.watched.launches.values():
            if launch.stage is Stage.STARTING and launch.image == image:
                raise Broken("an image is deleted, and a launch is starting a session in it", launch.id)

    def _build_began(self, handle: str) -> None:
        self.around.note(f"the build service begins {handle}")
        self.truths.begins(handle)
        handles = [f"{order.environment}-{order.attempt}" for order in self.builds.started]
        check_builds(self.builds.working(), handles, self.builds.forgotten, self.system.settings.build_slots)

    def _build_planned(self, order: BuildOrder, seconds: float) -> None:
        """Let a visitor come just when a build ends, for the same environment or for its slot. Lost signals show at
        such moments.
        """
        while self.late_comers and self.random.random() < 0.8:
            visitor = self.late_comers.pop()
            new = f"o/new{len(self.late_comers)}/HEAD"
            visitor.spec = order.repository.spec if self.random.random() < 0.6 else new
            before = self.random.random() * 50 * self.around.latency
            self.around.later(max(0.0, seconds - before), partial(self.arrive, visitor))

    def _build_stops(self, handle: str) -> None:
        """Let a visitor come for the build just when it is stopped."""
        self.truths.stops(handle)
        if self.late_comers:
            visitor = self._visitor(300)
            visitor.spec = self.watched.environments[handle.rpartition("-")[0]].repository.spec
            self.around.later(self.random.random() * 15, partial(self.arrive, visitor))

    # Functions and timers

    def _spawn(self, name: str, about: str, seconds: float, work: Callable[[], object]) -> Task:
        task = self.around.scheduler.spawn(name, about, seconds, work)
        task.version, task.skew = self.deploy.version(self.around.now, self.random), self.around.skew()
        return task

    def _deliver(self, delivery: Delivery, done: Callable[[], None]) -> None:
        def work() -> None:
            body = understood(delivery.body) if task.version > 1 else delivery.body
            read = Delivery(delivery.id, delivery.queue, body, delivery.receive_count, delivery.sent_at, 1)
            if self._survives(lambda: self.functions.deliver(read)):
                done()
                if delivery.queue == DEAD:
                    self.truths.check_buried(delivery.body)

        payload = json.loads(delivery.body)
        about = payload.get("launch") or payload.get("session") or ""
        seconds = FOREVER if self.calm else SETTINGS[delivery.queue].visibility_seconds
        task = self._spawn(f"{delivery.queue} {delivery.id}", about, seconds, work)
        task.spared = self.timeless and delivery.queue == "events" and delivery.receive_count > 3

    def _survives(self, work: Callable[[], object]) -> bool:
        """Return True if the work came to its end by its own account."""
        task, killed = self.around.scheduler.task, False
        try:
            if work() is not False:
                return True
        except (BinderyError, Killed) as error:
            self.around.note(f"ended by {error!r}")
            killed = isinstance(error, Killed)
        if task and (killed or task.troubles):
            self.truths.unreported[task.about] += 1
        return False

    def _tick(self, timer: str) -> None:
        self.around.later(PERIOD, lambda: self._tick(timer))
        times = 0 if self.around.happens("timer_missed") else 2 if self.around.happens("timer_doubled") else 1
        for _ in range(times):
            self._sweep(timer)

    def _sweep(self, timer: str) -> None:
        start = self.around.now

        def sweep() -> None:
            survived = self._survives(lambda: self.functions.call(TIMERS[timer].module, {}) is not None)
            if survived and task.troubles == 0:
                self._check_sweep(timer, start)

        task = self._spawn(f"{timer} {int(self.around.elapsed)}", "", TIMER_SECONDS[timer], sweep)

    # The checks

    def _wrote(self, change: Item | Delete) -> None:
        self.watched.wrote(change)

    def _deliver_request(self, message: Message) -> None:
        self.truths.check_message(message)

    def _buried(self, body: str) -> None:
        self.truths.buried.append(body)

    def _outcome(self, environment: Environment) -> None:
        """Check an ended attempt: if no message is late or slow, each launch that waits for it knows soon."""
        self.truths.outcome(environment)
        if self.calm and not (self._faults.message_late or self._faults.event_late) and self.around.latency < 0.1:
            wait = partial(self.truths.check_waiters_notified, environment.key, environment.attempt)
            self.around.later(TOLD_SECONDS, wait)

    def _turn_came(self) -> None:
        """Check the first in line beside a free slot: if no message is lost, one tells it."""
        if self.calm:
            check = partial(rest.check_turns, self.watched.turns, self.queues.ask_for, TOLD_SECONDS)
            self.around.later(TOLD_SECONDS + 1, lambda: check(self.around.now))

    def _check_sweep(self, timer: str, start: float) -> None:
        watched, requests = self.watched, self.truths.asked_to_stop
        if timer == "reconcile":
            rest.check_deadlines(watched.launches.values(), start, PERIOD)
            rest.check_pairs(watched.sessions, self.sessions, requests, start)
            rest.check_turns(watched.turns, self.queues.ask_for, PERIOD, start)
            rest.check_unwanted(
                self.builds.working(), self.truths.runs_unwanted, start - 3 * PERIOD - rest.APART_SECONDS
            )
            rest.check_held(watched.turns, self.truths.is_idle, self.queues.ask_for, start - 3 * PERIOD)
        else:
            limit = self.system.settings.max_age_seconds
            rest.check_ages(watched, requests, start, limit, PERIOD)

    def _check_rest(self) -> None:
        rest.check_quiet(self.table.real.items(), self.sessions.running, self.builds.running())
        if self.queues.under_way:
            raise Broken(f"messages go round: {next(iter(self.queues.under_way.values()))}", "")
        for visitor in (*self.visitors, *self.late_comers):
            for line in visitor.messages:
                self.watched.check_no_token(line, visitor.launch)

    # The reports

    @property
    def entries(self) -> list[Entry]:
        return self.around.entries

    @property
    def launches(self) -> list[Launch]:
        return list(self.watched.launches.values())

    def story(self, about: str) -> str:
        """Return the story of a launch or an environment in readable form, and the command that shows it again."""
        return story(self.entries, about, self.around.injected, self.seed)
