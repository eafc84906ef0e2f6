"""CloudWatch's patterns for lines that are JSON, as far as the template uses them."""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

TERM = re.compile(r'\$\.(\w+) = "([^"]*)"')
LONGEST = 1024
JOINED = re.compile(r"(True|False|and|or|[()\s])*")


def matches(pattern: str, line: Mapping[str, object]) -> bool:
    """Return True if a line fits `{ $.a = "x*" && ($.b = "y" || $.b = "z") }`. Raise ValueError for a pattern of
    another form.
    """
    inside = re.fullmatch(r"\s*\{(.*)\}\s*", pattern, re.DOTALL)
    if inside is None or len(pattern) > LONGEST:
        raise ValueError(pattern)
    expression = TERM.sub(lambda term: str(_fits(line, term[1], term[2])), inside[1])
    expression = expression.replace("&&", "and").replace("||", "or")
    if not JOINED.fullmatch(expression):
        raise ValueError(pattern)
    return bool(eval(expression.strip()))  # it contains only the words of JOINED


def _fits(line: Mapping[str, object], field: str, expected: str) -> bool:
    return field in line and fnmatchcase(str(line[field]), re.sub(r"[\[?]", r"[\g<0>]", expected))
