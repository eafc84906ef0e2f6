"""Find the launches that wait for a build, and the time at which the last of them left."""

from collections.abc import Iterator
from dataclasses import dataclass

from bindery.domain.environment import Environment
from bindery.domain.launch import Launch, Stage
from bindery.state.environments import Environments
from bindery.state.launches import Launches


@dataclass(frozen=True)
class WantedBuilds:
    """Reader of waiting launches, with consistent reads.

    A launch waits until it ends or leaves the building stage, whether or not a stream is open.
    """

    environments: Environments
    launches: Launches

    def waiting_launches(self, environment: Environment) -> Iterator[Launch]:
        """Return the launches under way that wait for the environment's newest attempt."""
        return (launch for launch in self._registered(environment) if _waits(launch, environment))

    def left_at(self, environment: Environment) -> float | None:
        """Return the UTC seconds at which the last launch stopped waiting for the newest attempt; None while a launch waits."""
        latest = environment.claimed_at
        for launch in self._registered(environment):
            if _waits(launch, environment):
                return None
            latest = max(latest, launch.ended_at or launch.stage_since)
        return latest

    def _registered(self, environment: Environment) -> Iterator[Launch]:
        """Return the launches with a waiter's record, which stays until the attempt ends."""
        for waiters in self.environments.waiters(environment.key, environment.attempt):
            for _, launch in self.launches.find_all([waiter.launch for waiter in waiters]):
                yield launch


def _waits(launch: Launch, environment: Environment) -> bool:
    return launch.stage is Stage.BUILDING and launch.environment == environment.key
