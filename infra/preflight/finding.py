"""Result of one check, and its printed form."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """Severity of a finding.

    OK: no action is needed. NOTE: works, with a limit that an operator should know. CHANGE: the deployment or the first build will
    fail.
    """

    OK = "ok"
    NOTE = "note"
    CHANGE = "change"


@dataclass(frozen=True)
class Finding:
    """Finding of a check.

    about: the subject of the check. words: one sentence or more. command: the command that changes it; may be empty.
    """

    level: Level
    about: str
    words: str
    command: str = ""

    def __str__(self) -> str:
        line = f"{self.level:<6} {self.about}: {self.words}"
        return f"{line}\n         {self.command}" if self.command else line
