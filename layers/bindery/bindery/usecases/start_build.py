"""Start a claimed attempt in the build service, once, when it is its turn."""

import logging
from dataclasses import dataclass
from typing import TypeGuard

from bindery.domain.builds import BuildOrder
from bindery.domain.environment import Environment
from bindery.domain.errors import BuildAbandoned, BuildsRefused, Permanent
from bindery.domain.failure import Failure
from bindery.domain.messages import BuildChanged, BuildRequested
from bindery.ports.build_service import BuildService
from bindery.state.build_slots import BuildSlots
from bindery.state.environments import Environments
from bindery.usecases.record_build import RecordBuild
from bindery.usecases.steps.wanted_builds import WantedBuilds

logger = logging.getLogger("bindery")


@dataclass(frozen=True)
class StartBuild:
    """seconds: a build's limit. Without a slot the attempt stands in line, and whoever frees one sends its message again."""

    environments: Environments
    wanted: WantedBuilds
    slots: BuildSlots
    builds: BuildService
    record_build: RecordBuild
    seconds: int

    def __call__(self, asked: BuildRequested) -> None:
        environment = self.environments.find(asked.environment)
        handle = self._start(environment, asked) if _wanted(environment, asked) else ""
        self._stop_if_over(asked, handle)
        # It may have ended before anybody knew its handle, and then nobody has heard.
        self.record_build(BuildChanged(environment=asked.environment, attempt=asked.attempt))
        self._stop_if_over(asked, handle)

    def _stop_if_over(self, asked: BuildRequested, handle: str) -> None:
        """The attempt may have ended meanwhile: had the service forgotten it, it would run anew."""
        if handle and not _wanted(self.environments.find(asked.environment), asked):
            self.builds.stop(handle)

    def _start(self, environment: Environment, asked: BuildRequested) -> str:
        """The attempt's handle, once it is started; empty if it is not to be made, or not yet."""
        known = self.environments.handle(environment.key, environment.attempt)
        if known:
            self._keep_slot(environment)
            return known
        if not self._has_turn(environment, asked):
            return ""
        try:
            handle = self.builds.start(BuildOrder.of(environment, self.seconds))
        except BuildsRefused as refusal:
            self._stand_back(environment, str(refusal.facts["why"]))
            return ""
        except Permanent as error:  # it can never be started: its slot is another's, and whoever waits is told
            self.environments.finish(environment.key, environment.attempt, failure=Failure.of(error))
            return ""
        self.environments.record_start(environment.key, environment.attempt, handle)
        self._keep_slot(environment)
        return handle

    def _has_turn(self, environment: Environment, asked: BuildRequested) -> bool:
        """Whether it has a slot. One that nobody waits for (any more) is given up instead; its place is freed as after any end.

        The build service may have begun it all the same: it was asked and did not answer, or whoever asked died before the handle
        was written, or asks just now. An attempt's first step writes its handle only if none is there, and `give_up` needs that
        none is there and leaves an empty one. So either it is given up, and whatever begins of it ends at its first step, or it
        has begun to work and keeps its slot until the build service says that it ended. Whoever registers as waiting meanwhile
        reads the environment after, and tries again.
        """
        key = environment.key
        if not any(self.wanted.who_wait(environment)):
            self.environments.give_up(key, environment.attempt, Failure.of(BuildAbandoned()))
            return False
        claimed = self.slots.claim(environment, behind=self._is_behind(environment))
        return claimed and _wanted(self.environments.find(key), asked)

    def _stand_back(self, environment: Environment, why: str) -> None:
        """Give the slot up for a place in line; `ReleaseSlots.recover` sends the message again with each sweep.

        An attempt that has its handle by now keeps its slot: a message that came twice was refused the second time.
        """
        if self.environments.handle(environment.key, environment.attempt) is None:
            logger.warning("the build service takes no more builds: %s", why)
            self.slots.put_back(environment, behind=self._is_behind(environment), why=why)
            if self.environments.handle(environment.key, environment.attempt):
                self._keep_slot(environment)

    def _keep_slot(self, environment: Environment) -> None:
        """Take the slot again for an attempt that has its handle and stands in line.

        Of two messages for one attempt, one may be refused while the other starts it. Each writes first and then reads what the
        other writes, so that at least one of them comes here.
        """
        if self.slots.waits(environment.key, environment.attempt):
            self.slots.claim(environment, behind=self._is_behind(environment))

    def _is_behind(self, environment: Environment) -> bool:
        """Return True for a prebuild that nobody waits to open."""
        return environment.prebuild and all(launch.build_only for launch in self.wanted.who_wait(environment))


def _wanted(environment: Environment | None, asked: BuildRequested) -> TypeGuard[Environment]:
    """Whether this attempt is still to be made."""
    return environment is not None and environment.is_making(asked.attempt)
