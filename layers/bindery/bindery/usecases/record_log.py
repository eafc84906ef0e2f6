"""Lines of a build's log arrived: keep them for everybody who watches."""

from dataclasses import dataclass

from bindery.domain.messages import LogWritten
from bindery.state.build_logs import BuildLogs


@dataclass(frozen=True)
class RecordLog:
    """Chunks may come twice and out of order."""

    logs: BuildLogs

    def __call__(self, written: LogWritten) -> None:
        if written.lines:
            self.logs.append(written.environment, written.attempt, written.lines)
