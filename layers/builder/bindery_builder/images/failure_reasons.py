"""Failure reasons of container builds: the instruction that failed, and its last line of output."""

import re
from collections.abc import Sequence

from bindery.domain.errors import BinderyError
from bindery_builder.failure_reason import failed, reason

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


def why_failed(code: int, last: Sequence[str]) -> BinderyError:
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


def why_not_pushed(last: Sequence[str]) -> str:
    """Return the end of the tool's chain of reasons. Its beginning only states that the push failed."""
    errors = [line for line in last if line.lower().startswith(("error", "denied", "unauthorized"))] or list(last[-1:])
    return _shortened(": ".join(errors[-1].split(": ")[-_REASONS:]) if errors else "", _WORDS_CHARACTERS)


def _shortened(text: str, most: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"
