"""The build service port."""

from typing import Protocol

from bindery.domain.builds import BuildOrder, BuildReport


class BuildService(Protocol):
    """Service that builds images and reports the state of each build attempt.

    name: the build engine and its base, such as `uv 0.9, Python 3.11`; it is part of every environment's key.
    start: starts the attempt and returns its handle at once. A second call for the same environment and attempt starts no second
        build and returns the same handle.
    report_delay: seconds after an attempt's start. Until then, status may return UNKNOWN for an attempt that was started.
    status: returns the service's current report for a handle. After SUCCEEDED or FAILED the state stays the same, until the service
        forgets the attempt (UNKNOWN).
    stop: ends the attempt; status returns FAILED soon afterwards. An attempt that has ended or is unknown is no error.
    image_exists: returns whether the image can be run now. The call keeps the image from being evicted for a while.
    remove: deletes an unused image. A missing image is no error. Returns False if the service does not allow it.
    Every call may raise BuildServiceDown. start raises BuildsRefused if the service takes no more builds and has not started this one.
        After any other error of start, the attempt may be running. In that case its first step must record its handle in the table,
        and must end if the table holds another handle or an empty one.
    A running attempt sends LogWritten, and BuildChanged when its state changes; both are best effort.
    """

    @property
    def name(self) -> str: ...
    @property
    def report_delay(self) -> float: ...
    def start(self, order: BuildOrder) -> str: ...
    def status(self, handle: str) -> BuildReport: ...
    def stop(self, handle: str) -> None: ...
    def image_exists(self, image: str) -> bool: ...
    def remove(self, image: str) -> bool: ...
