"""Ports that are made when they are first asked, so that a function's start does not pay for what its message may not need."""

from collections.abc import Callable
from dataclasses import dataclass

from bindery.domain.builds import BuildOrder, BuildReport
from bindery.ports.build_service import BuildService


@dataclass(frozen=True)
class BuildsWhenAsked:
    """The build service port. make: answers the same one each time."""

    make: Callable[[], BuildService]

    @property
    def name(self) -> str:
        return self.make().name

    @property
    def known_after(self) -> float:
        return self.make().known_after

    def start(self, order: BuildOrder) -> str:
        return self.make().start(order)

    def look(self, handle: str) -> BuildReport:
        return self.make().look(handle)

    def stop(self, handle: str) -> None:
        self.make().stop(handle)

    def has(self, image: str) -> bool:
        return self.make().has(image)

    def remove(self, image: str) -> bool:
        return self.make().remove(image)
