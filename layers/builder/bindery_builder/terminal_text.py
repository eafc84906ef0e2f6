"""Output of programs as plain text, without the sequences that control a terminal."""

import re

_SEQUENCE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|[ -/]+[0-~]|[0-Z\\-~])")
"""Escape sequences of ECMA-48: CSI (colours, cursor), OSC (titles, links; also one that is cut off), and short ones."""
_CONTROL = dict.fromkeys((*range(9), *range(10, 32), *range(127, 160)))


def plain(line: str) -> str:
    """Return the line without escape sequences and control characters. Tabs stay."""
    return _SEQUENCE.sub("", line).translate(_CONTROL)
