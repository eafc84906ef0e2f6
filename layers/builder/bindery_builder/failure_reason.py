"""Failure reason of a command: the relevant lines at the end of its output."""

import re
import signal
from collections.abc import Sequence

from bindery.domain.errors import BinderyError, BuildFailed, BuildServiceDown
from bindery_builder.process.files import DISK_IS_FULL, tells_full

MOST_CHARACTERS = 300
LAST_LINES = 40
KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)  # Python's exit code, and that of a shell or the reaper
UNSOLVABLE = "No solution found"

_DECORATION = re.compile(r"^[\s×╰─▶├│]*(error:|cause:|hint:)?\s*", re.IGNORECASE)  # noqa: RUF001 - as uv prints it
_ERROR = re.compile(r"^\s*(error:|×)", re.IGNORECASE)  # noqa: RUF001 - as uv prints it


def failed(step: str, code: int, last: Sequence[str], why: str = "") -> BinderyError:
    """Return the error for a command that ended with this exit code and these last lines.

    why: the reason; by default it is taken from the last lines.
    """
    if any(tells_full(line) for line in last[-LAST_LINES:]):
        return BuildServiceDown(why=DISK_IS_FULL)
    if code in KILLED:
        return BuildFailed(step=step, why="it was killed, as happens when memory runs out")
    return BuildFailed(step=step, why=why or reason(last))


def reason(last: Sequence[str]) -> str:
    """Return the reason in one line of at most 300 characters.

    It starts at the last line that announces an error, or is the last line if no line does.
    """
    starts = [number for number, line in enumerate(last) if _ERROR.match(line)]
    lines = [_DECORATION.sub("", line).strip() for line in last[starts[-1] if starts else -1 :]]
    reasons = [line for line in lines if line and not line.startswith((UNSOLVABLE, "[stderr]", "[stdout]"))]
    text = " ".join(" ".join(reasons).split())
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"
