"""Move on every launch that waits for an ended build attempt.

Ten thousand may wait. They are read, told and removed up to a hundred at a time: 0.2 calls of table and queue for each, where one
after the other takes three, which at 10 to 15 ms a call is longer than a function may run.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bindery.domain.environment import Environment
from bindery.domain.launch import Stage
from bindery.ports.queue import Queue
from bindery.state.environments import Environments, Waiter
from bindery.state.launches import Launches
from bindery.usecases.steps.advance import Advance


@dataclass(frozen=True)
class TellWaiters:
    """Idempotent: waiters are removed after their messages were sent, and the environment stays due until none is left."""

    environments: Environments
    launches: Launches
    queue: Queue
    advance: Advance

    def __call__(self, over: Environment, attempt: int) -> None:
        """Tell those who waited for this attempt, even if the next one was claimed meanwhile: they must not wait for that."""
        for waiters in self.environments.waiters(over.key, attempt):
            self._tell(over, attempt, waiters)
            self.environments.forget_all(waiters)
        self.environments.settle(over.key, attempt)

    def _tell(self, over: Environment, attempt: int, waiters: Sequence[Waiter]) -> None:
        found = self.launches.find_all([waiter.launch for waiter in waiters])
        ours = [each for each in found if each[1].environment == over.key and each[1].attempt <= attempt]
        self.advance.leave_all([each for each in ours if each[1].stage is Stage.BUILDING], over)
        # Of a launch that has left, the function that moved it may have ended before it sent the next message.
        messages = [launch.next_message for _, launch in ours if launch.stage is not Stage.BUILDING]
        if messages := [message for message in messages if message]:
            self.queue.send_all(messages)
