"""Clean text from outside, so that it can be shown, sent as UTF-8 or written as JSON."""

import re

_SURROGATES = re.compile(r"[\ud800-\udfff]")
# C0 and C1 controls, and the marks that change the direction of text: a fact must not rearrange its sentence.
_UNSHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def encodable(text: str) -> str:
    """Return the text with lone surrogates replaced, so that it can be encoded."""
    return _SURROGATES.sub("\ufffd", text)


def one_line(text: str, longest: int = 300) -> str:
    """Return the words on one line, without unprintable characters, cut in the middle if longer than `longest` characters."""
    cut = text if len(text) <= 4 * longest else text[: 2 * longest] + " ... " + text[-2 * longest :]
    words = " ".join(_UNSHOWN.sub(" ", encodable(cut)).split())
    if len(words) <= longest:
        return words
    return f"{words[: longest * 2 // 3]} ... {words[-(longest // 3) :]}"


def last_lines(text: str, most: int = 40, longest: int = 4000) -> str:
    """Return the end of a log, with its lines kept."""
    lines = (_UNSHOWN.sub("", line).rstrip() for line in encodable(text[-longest:]).splitlines()[-most:])
    return "\n".join(line for line in lines if line)
