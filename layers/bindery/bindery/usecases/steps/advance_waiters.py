"""Move on every launch that waits for an ended build attempt.

Ten thousand launches may wait. They are read, notified and removed up to a hundred at a time: 0.2 calls of table and queue for
each launch. One by one it would take three calls for each, at 10 to 15 ms a call, which is longer than a function may run.
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
class AdvanceWaiters:
    """Notifier of waiting launches.

    Idempotent: waiters are removed after their messages were sent, and the environment stays due while it has waiters.
    """

    environments: Environments
    launches: Launches
    queue: Queue
    advance: Advance

    def __call__(self, environment: Environment, attempt: int) -> None:
        """Notify the waiters of this attempt, even if the next attempt was claimed meanwhile: they must not wait for the next one."""
        for waiters in self.environments.waiters(environment.key, attempt):
            self._notify(environment, attempt, waiters)
            self.environments.forget_all(waiters)
        self.environments.settle(environment.key, attempt)

    def _notify(self, environment: Environment, attempt: int, waiters: Sequence[Waiter]) -> None:
        read = self.launches.find_all([waiter.launch for waiter in waiters])
        waiting = [each for each in read if each[1].environment == environment.key and each[1].attempt <= attempt]
        self.advance.leave_all([each for each in waiting if each[1].stage is Stage.BUILDING], environment)
        # If a launch has moved on, the function that moved it may have ended before it sent the next message.
        messages = [launch.next_message for _, launch in waiting if launch.stage is not Stage.BUILDING]
        if messages := [message for message in messages if message]:
            self.queue.send_all(messages)
