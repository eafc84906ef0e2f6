"""Start a claimed attempt in the build service, once, when it has a slot."""

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
    """Starter of builds.

    seconds: a build's limit. Without a slot the attempt waits in the queue; the process that frees a slot sends the message
    again.
    """

    environments: Environments
    wanted: WantedBuilds
    slots: BuildSlots
    builds: BuildService
    record_build: RecordBuild
    seconds: int

    def __call__(self, message: BuildRequested) -> None:
        environment = self.environments.find(message.environment)
        handle = self._start(environment, message) if _is_needed(environment, message) else ""
        self._stop_if_over(message, handle)
        # The build may have ended before its handle was written; then its event was ignored.
        self.record_build(BuildChanged(environment=message.environment, attempt=message.attempt))
        self._stop_if_over(message, handle)

    def _stop_if_over(self, message: BuildRequested, handle: str) -> None:
        """Stop an attempt that has ended meanwhile: if the build service had forgotten it, it would run again."""
        if handle and not _is_needed(self.environments.find(message.environment), message):
            self.builds.stop(handle)

    def _start(self, environment: Environment, message: BuildRequested) -> str:
        """Return the handle of the started attempt; empty if the attempt must not start, or not yet."""
        handle_before = self.environments.handle(environment.key, environment.attempt)
        if handle_before:
            self._keep_slot(environment)
            return handle_before
        if not self._claim_slot(environment, message):
            return ""
        try:
            handle = self.builds.start(BuildOrder.of(environment, self.seconds))
        except BuildsRefused as refusal:
            self._stand_back(environment, str(refusal.facts["why"]))
            return ""
        except Permanent as error:  # it can never be started: free its slot and fail the waiting launches
            self.environments.finish(environment.key, environment.attempt, failure=Failure.of(error))
            return ""
        self.environments.record_start(environment.key, environment.attempt, handle)
        self._keep_slot(environment)
        return handle

    def _claim_slot(self, environment: Environment, message: BuildRequested) -> bool:
        """Claim a slot for the attempt. Return True if it has one and still has to be built.

        An attempt without waiting launches is given up; its place is freed as after any end.

        The build service may have started it all the same: it got the request and did not answer, or the requesting process died
        before the handle was written, or another process requests it now. An attempt's first step writes its handle only if there
        is no handle yet. `give_up` needs that there is no handle, and leaves an empty one. So there are two cases. Either the
        attempt is given up, and a started build ends at its first step. Or the build has begun to work and keeps its slot until
        the build service reports its end. A launch that registers as a waiter meanwhile reads the environment afterwards, and
        tries again.
        """
        key = environment.key
        if not any(self.wanted.waiting_launches(environment)):
            self.environments.give_up(key, environment.attempt, Failure.of(BuildAbandoned()))
            return False
        claimed = self.slots.claim(environment, behind=self._is_behind(environment))
        return claimed and _is_needed(self.environments.find(key), message)

    def _stand_back(self, environment: Environment, why: str) -> None:
        """Give the slot up for a place in the queue. `ReleaseSlots.recover` sends the message again with each sweep.

        An attempt that has its handle by now keeps its slot: its message came twice, and the second request was refused.
        """
        if self.environments.handle(environment.key, environment.attempt) is None:
            logger.warning("the build service takes no more builds: %s", why)
            self.slots.put_back(environment, behind=self._is_behind(environment), why=why)
            if self.environments.handle(environment.key, environment.attempt):
                self._keep_slot(environment)

    def _keep_slot(self, environment: Environment) -> None:
        """Take the slot again for an attempt that has its handle and is in the queue.

        Of two messages for one attempt, one may be refused while the other starts it. Each writes first and then reads the
        other's record, so at least one of them calls this.
        """
        if self.slots.waits(environment.key, environment.attempt):
            self.slots.claim(environment, behind=self._is_behind(environment))

    def _is_behind(self, environment: Environment) -> bool:
        """Return True for a prebuild without a visitor waiting for its session."""
        return environment.prebuild and all(launch.build_only for launch in self.wanted.waiting_launches(environment))


def _is_needed(environment: Environment | None, message: BuildRequested) -> TypeGuard[Environment]:
    """Return True if this attempt still has to be built."""
    return environment is not None and environment.is_making(message.attempt)
