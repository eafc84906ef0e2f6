"""Why a container build ended badly: which instruction, and the last words before the tool's own."""

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
_SAID_IN_BUILDKIT = re.compile(r"^#\d+ \d+\.\d+ (?P<words>.*\S)")
_STEP = re.compile(r"^(\[\d+/\d+\] )?STEP \d|^Step \d+/\d+ :")
_TOOLS_OWN = re.compile(
    r"^( ?-+>|Removing intermediate|subprocess exited|\[Warning\]|time=|Getting |Copying |Writing |Storing |COMMIT)"
)


def why_failed(code: int, last: Sequence[str]) -> BinderyError:
    """podman, buildah and docker name the instruction in their last line; what has none is told as it is."""
    if last and (of_buildkit := _AT_STEP_OF_BUILDKIT.match(last[-1])):
        spoken = [found["words"] for line in last if (found := _SAID_IN_BUILDKIT.match(line))]
        return _failed_at(f"RUN {of_buildkit['step']}", f"exit status {of_buildkit['code']}", spoken, code, last)
    told = [line for line in last if line.startswith(("Error: ", "The command '"))]
    found = (_AT_STEP.match(told[-1]) or _AT_STEP_OF_DOCKER.match(told[-1])) if told else None
    if not found:
        return failed("image", code, last, reason(last).removeprefix("Error: "))
    status = found["why"] if found.re is _AT_STEP else f"exit status {found['code']}"
    instruction = found["step"] if found.re is _AT_STEP else f"RUN {found['step']}"
    steps = [number for number, line in enumerate(last) if _STEP.match(line)]
    ours = last[steps[-1] + 1 :] if steps else last
    said = [line for line in ours if line != told[-1] and not _TOOLS_OWN.match(line)]
    return _failed_at(instruction, status, said, code, last)


def _failed_at(instruction: str, status: str, said: Sequence[str], code: int, last: Sequence[str]) -> BinderyError:
    why = _shortened(status, _WORDS_CHARACTERS)
    why += f": {_shortened(said[-1], _WORDS_CHARACTERS)}" if said else ""
    return failed(_shortened(instruction, _STEP_CHARACTERS), code, last, why)


def why_not_pushed(last: Sequence[str]) -> str:
    """The end of the tool's chain of reasons: its beginning only says that an image was to be pushed."""
    told = [line for line in last if line.lower().startswith(("error", "denied", "unauthorized"))] or list(last[-1:])
    return _shortened(": ".join(told[-1].split(": ")[-_REASONS:]) if told else "", _WORDS_CHARACTERS)


def _shortened(text: str, most: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"
