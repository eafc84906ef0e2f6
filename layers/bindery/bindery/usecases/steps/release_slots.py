"""Pass build slots from ended attempts to the first attempts in the queue."""

from dataclasses import dataclass

from bindery.domain.messages import BuildRequested
from bindery.ports.queue import Queue
from bindery.state.build_slots import BuildSlots, Standing
from bindery.state.environments import Environments


@dataclass(frozen=True)
class ReleaseSlots:
    """Releaser of build slots. Any process may call it at any time: a message takes a slot only if its attempt has the turn."""

    slots: BuildSlots
    environments: Environments
    queue: Queue

    def __call__(self, environment: str, attempt: int) -> None:
        """Free the slot of an ended attempt. A second call, as after a crash, still wakes the queue."""
        self.slots.leave(environment, attempt)
        self.wake()

    def wake(self) -> None:
        """Send the build message of each attempt that has a free slot."""
        for standing in self.slots.first():
            self.queue.send(BuildRequested(environment=standing.environment, attempt=standing.attempt))

    def recover(self) -> None:
        """Free the slots of ended attempts after a lost message, and wake the attempts that wait beside a free slot."""
        for standing in self.slots.held():
            if not self._builds(standing):
                self.slots.leave(standing.environment, standing.attempt)
        self.wake()

    def _builds(self, standing: Standing) -> bool:
        environment = self.environments.find(standing.environment)
        return environment is not None and environment.is_making(standing.attempt)
