"""The build service port."""

from typing import Protocol

from bindery.domain.builds import BuildOrder, BuildReport


class BuildService(Protocol):
    """Makes images, and tells how that goes.

    name: what builds and with which base, such as `uv 0.9, Python 3.11`; it is part of every environment's key.
    start: begins the attempt and returns at once with its handle; asked again for the same environment and attempt, it starts
        nothing and answers the same handle.
    known_after: seconds from an attempt's start within which look may still say UNKNOWN of it, although it was begun.
    look: the service's own word on a handle. Once SUCCEEDED or FAILED, always that, until forgotten (UNKNOWN).
    stop: ends the attempt; afterwards look soon says FAILED. An attempt that ended or is unknown is no error.
    has: whether the image can be run now; keeps it from being evicted for a while.
    remove: deletes an image that nothing uses; one that is gone is no error. False if the service does not allow it.
    Every call may raise BuildServiceDown. start raises BuildsRefused if the service takes no more builds and has begun nothing; else it may
        have begun the attempt all the same, if its first step records its handle in the table and ends where another, or an empty
        one, is recorded.
    While it runs, an attempt sends LogWritten, and BuildChanged when its state changes; both are best effort.
    """

    @property
    def name(self) -> str: ...
    @property
    def known_after(self) -> float: ...
    def start(self, order: BuildOrder) -> str: ...
    def look(self, handle: str) -> BuildReport: ...
    def stop(self, handle: str) -> None: ...
    def has(self, image: str) -> bool: ...
    def remove(self, image: str) -> bool: ...
