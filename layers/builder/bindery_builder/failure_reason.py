"""Why a command ended badly: the useful words at the end of its output."""

import re
import signal
from collections.abc import Sequence

from bindery.domain.errors import BinderyError, BuildFailed, BuildServiceDown
from bindery_builder.process.files import DISK_IS_FULL, tells_full

MOST_CHARACTERS = 300
LAST_LINES = 40
KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)  # as Python tells it, and as a shell or our keeper does
UNSOLVABLE = "No solution found"

_DECORATION = re.compile(r"^[\s×╰─▶├│]*(error:|cause:|hint:)?\s*", re.IGNORECASE)  # noqa: RUF001 - as uv prints it
_ERROR = re.compile(r"^\s*(error:|×)", re.IGNORECASE)  # noqa: RUF001 - as uv prints it


def failed(step: str, code: int, last: Sequence[str], why: str = "") -> BinderyError:
    """What becomes of a build whose command ended with this exit code and these last lines. why: else the lines' own."""
    if any(tells_full(line) for line in last[-LAST_LINES:]):
        return BuildServiceDown(why=DISK_IS_FULL)
    if code in KILLED:
        return BuildFailed(step=step, why="it was killed, as happens when memory runs out")
    return BuildFailed(step=step, why=why or reason(last))


def reason(last: Sequence[str]) -> str:
    """From the last line that announces an error, if there is one, else the last line; in one line of at most 300 characters."""
    starts = [number for number, line in enumerate(last) if _ERROR.match(line)]
    lines = [_DECORATION.sub("", line).strip() for line in last[starts[-1] if starts else -1 :]]
    telling = [line for line in lines if line and not line.startswith((UNSOLVABLE, "[stderr]", "[stdout]"))]
    text = " ".join(" ".join(telling).split())
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"
