"""Text that came from elsewhere, made fit to be shown, sent as UTF-8 or written as JSON."""

import re

_SURROGATES = re.compile(r"[\ud800-\udfff]")
# C0 and C1 controls, and the marks that turn the direction of what follows: a fact must not rearrange its sentence.
_UNSHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def encodable(text: str) -> str:
    """The text with lone surrogates replaced, so that it can be encoded."""
    return _SURROGATES.sub("\ufffd", text)


def one_line(text: str, longest: int = 300) -> str:
    """Words on one line, nothing unprintable, cut in the middle if it is longer than `longest` characters."""
    cut = text if len(text) <= 4 * longest else text[: 2 * longest] + " ... " + text[-2 * longest :]
    words = " ".join(_UNSHOWN.sub(" ", encodable(cut)).split())
    if len(words) <= longest:
        return words
    return f"{words[: longest * 2 // 3]} ... {words[-(longest // 3) :]}"


def last_lines(text: str, most: int = 40, longest: int = 4000) -> str:
    """The end of a log, its lines kept."""
    shown = (_UNSHOWN.sub("", line).rstrip() for line in encodable(text[-longest:]).splitlines()[-most:])
    return "\n".join(line for line in shown if line)
