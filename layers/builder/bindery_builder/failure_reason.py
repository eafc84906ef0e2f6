"""Failure reasons of a build's commands: the relevant lines at the end of their output.

For an image build these are the instruction that failed, and its last line of output.
"""

import re
import signal
from collections.abc import Sequence

from bindery.domain.errors import BinderyError, BuildFailed, BuildServiceDown
from bindery_builder.build_log import UNSOLVABLE
from bindery_builder.process.files import DISK_IS_FULL, tells_full

MOST_CHARACTERS = 300
LAST_LINES = 40
KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)  # Python's exit code, and that of a shell or the reaper

_DECORATION = re.compile(r"^[\s×╰─▶├│]*(error:|cause:|hint:)?\s*", re.IGNORECASE)  # noqa: RUF001 - as uv prints it
_ERROR = re.compile(r"^\s*(error:|×)", re.IGNORECASE)  # noqa: RUF001 - as uv prints it
_STEP_CHARACTERS, _WORDS_CHARACTERS, _REASONS = 80, 220, 3
_AT_STEP_OF_DOCKER = re.compile(r"^The command '(?P<step>.*)' returned a non-zero code: (?P<code>\d+)$", re.DOTALL)
_AT_STEP = re.compile(r'^Error: building at STEP "(?P<step>.*?)": (?:while running runtime: )?(?P<why>.*)$', re.DOTALL)
_AT_STEP_OF_BUILDKIT = re.compile(
    r"^(?:ERROR: )?(?:failed to solve.*?: )?(?:process \"|executor failed running \[)(?P<step>.*)"
    r"(?:\" did not complete successfully|\]): exit code: (?P<code>\d+)$"
)
_BUILDKIT_OUTPUT = re.compile(r"^#\d+ \d+\.\d+ (?P<words>.*\S)")
_STEP = re.compile(r"^(\[\d+/\d+\] )?STEP \d|^Step \d+/\d+ :")
_TOOLS_OWN = re.compile(
    r"^( ?-+>|Removing intermediate|subprocess exited|\[Warning\]|time=|Getting |Copying |Writing |Storing |COMMIT)"
)


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


def image_build_error(code: int, last: Sequence[str]) -> BinderyError:
    """Return the error for a failed build.

    podman, buildah and docker name the instruction in their last line. Output without one is reported unchanged.
    """
    if last and (buildkit := _AT_STEP_OF_BUILDKIT.match(last[-1])):
        step_output = [match["words"] for line in last if (match := _BUILDKIT_OUTPUT.match(line))]
        return _failed_at(f"RUN {buildkit['step']}", f"exit status {buildkit['code']}", step_output, code, last)
    errors = [line for line in last if line.startswith(("Error: ", "The command '"))]
    error = (_AT_STEP.match(errors[-1]) or _AT_STEP_OF_DOCKER.match(errors[-1])) if errors else None
    if not error:
        return failed("image", code, last, reason(last).removeprefix("Error: "))
    status = error["why"] if error.re is _AT_STEP else f"exit status {error['code']}"
    instruction = error["step"] if error.re is _AT_STEP else f"RUN {error['step']}"
    steps = [number for number, line in enumerate(last) if _STEP.match(line)]
    step_lines = last[steps[-1] + 1 :] if steps else last
    output = [line for line in step_lines if line != errors[-1] and not _TOOLS_OWN.match(line)]
    return _failed_at(instruction, status, output, code, last)


def _failed_at(instruction: str, status: str, output: Sequence[str], code: int, last: Sequence[str]) -> BinderyError:
    why = _shortened(status, _WORDS_CHARACTERS)
    why += f": {_shortened(output[-1], _WORDS_CHARACTERS)}" if output else ""
    return failed(_shortened(instruction, _STEP_CHARACTERS), code, last, why)


def push_failure_reason(last: Sequence[str]) -> str:
    """Return the end of the tool's chain of reasons. Its beginning only states that the push failed."""
    errors = [line for line in last if line.lower().startswith(("error", "denied", "unauthorized"))] or list(last[-1:])
    return _shortened(": ".join(errors[-1].split(": ")[-_REASONS:]) if errors else "", _WORDS_CHARACTERS)


def _shortened(text: str, most: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"
