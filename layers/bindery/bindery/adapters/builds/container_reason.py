"""Why a container build ended badly: which instruction, and the last words before the tool's own."""

import re
from collections.abc import Sequence

from bindery.adapters.builds.reason import failed, reason
from bindery.domain.errors import BinderyError

_STEP_CHARACTERS, _WORDS_CHARACTERS = 80, 220
_AT_STEP = re.compile(r'^Error: building at STEP "(?P<step>.*)": (?:while running runtime: )?(?P<why>.*)$', re.DOTALL)
_TOOLS_OWN = re.compile(
    r"^(STEP \d|-->|subprocess exited|\[Warning\]|time=|Getting |Copying |Writing |Storing |COMMIT)"
)


def why_failed(code: int, last: Sequence[str]) -> BinderyError:
    """podman and buildah name the instruction in their last line; docker's words are told as they are."""
    told = [line for line in last if line.startswith("Error: ")]
    found = _AT_STEP.match(told[-1]) if told else None
    if not found:
        return failed("image", code, last, reason(last).removeprefix("Error: "))
    said = [line for line in last if line != told[-1] and not _TOOLS_OWN.match(line)]
    why = found["why"] + (f": {_shortened(said[-1], _WORDS_CHARACTERS)}" if said else "")
    return failed(_shortened(found["step"], _STEP_CHARACTERS), code, last, why)


def _shortened(text: str, most: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"
