"""The result of one check, and how it is printed."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """OK: nothing to do. NOTE: works, with a limit that an operator should know. CHANGE: the deployment or the first build fails."""

    OK = "ok"
    NOTE = "note"
    CHANGE = "change"


@dataclass(frozen=True)
class Finding:
    """about: the subject of the check. words: one sentence or more. command: what to run to change it; may be empty."""

    level: Level
    about: str
    words: str
    command: str = ""

    def __str__(self) -> str:
        told = f"{self.level:<6} {self.about}: {self.words}"
        return f"{told}\n         {self.command}" if self.command else told
