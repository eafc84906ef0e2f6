"""Build slots pass on: from an attempt that has ended to the one that is first in line."""

from dataclasses import dataclass

from bindery.domain.messages import BuildRequested
from bindery.ports.queue import Queue
from bindery.state.build_slots import BuildSlots, Standing
from bindery.state.environments import Environments


@dataclass(frozen=True)
class ReleaseSlots:
    """Safe to call at any time, by anybody: whoever is told takes a slot only if it is its turn."""

    slots: BuildSlots
    environments: Environments
    queue: Queue

    def __call__(self, environment: str, attempt: int) -> None:
        """The attempt has ended. Told again, as after a crash, it still sees to those in line."""
        self.slots.leave(environment, attempt)
        self.wake()

    def wake(self) -> None:
        """Whoever there is a slot for is told."""
        for standing in self.slots.first():
            self.queue.send(BuildRequested(environment=standing.environment, attempt=standing.attempt))

    def recover(self) -> None:
        """What ended unheard of holds no slot, and nobody waits beside a free one."""
        for standing in self.slots.held():
            if not self._builds(standing):
                self.slots.leave(standing.environment, standing.attempt)
        self.wake()

    def _builds(self, standing: Standing) -> bool:
        environment = self.environments.find(standing.environment)
        return environment is not None and environment.is_making(standing.attempt)
