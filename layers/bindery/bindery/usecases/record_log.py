"""Store lines of a build's log for all clients that follow it."""

from dataclasses import dataclass

from bindery.domain.messages import LogWritten
from bindery.state.build_logs import BuildLogs


@dataclass(frozen=True)
class RecordLog:
    """Writer of build logs. Chunks may come twice and out of order."""

    logs: BuildLogs

    def __call__(self, written: LogWritten) -> None:
        if written.lines:
            self.logs.append(written.environment, written.attempt, written.lines)
