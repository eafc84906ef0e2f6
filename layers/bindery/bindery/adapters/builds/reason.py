"""The useful words at the end of a command's output."""

import re
from collections.abc import Sequence

MOST_CHARACTERS = 300
UNSOLVABLE = "No solution found"

_DECORATION = re.compile(r"^[\s×╰─▶├│]*(error:|cause:|hint:)?\s*", re.IGNORECASE)  # noqa: RUF001 - as uv prints it
_ERROR = re.compile(r"^\s*(error:|×)", re.IGNORECASE)  # noqa: RUF001 - as uv prints it


def reason(last: Sequence[str]) -> str:
    """From the last line that announces an error, if there is one, else the last line; in one line of at most 300 characters."""
    starts = [number for number, line in enumerate(last) if _ERROR.match(line)]
    lines = [_DECORATION.sub("", line).strip() for line in last[starts[-1] if starts else -1 :]]
    telling = [line for line in lines if line and not line.startswith((UNSOLVABLE, "[stderr]", "[stdout]"))]
    text = " ".join(" ".join(telling).split())
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"
