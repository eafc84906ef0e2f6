"""Patterns of the operator's rules: regular expressions on `<provider>/<canonical spec>`."""

import re
import warnings

PROVIDERS = ("gh", "gist", "gl", "git", "zenodo", "figshare", "dataverse", "hydroshare", "ckan")
"""Names of all providers in links. A test compares them with the registered providers."""

LONGEST_PATTERN = 1000
_HEAD = re.compile(r"\^(?:([a-z]+)|\((?:\?:)?([a-z]+(?:\|[a-z]+)*)\))/")
_SHAPE = "a pattern begins with ^, a provider and /, such as ^gh/owner/ or ^(gh|gl)/owner/"


def check_pattern(pattern: str) -> str:
    """Return the pattern. Raises ValueError, with a message for the operator, for a pattern that could match another provider.

    An alternative outside of parentheses is refused: `^gh/acme/|gl/` would match every repository of the second provider.
    """
    if len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"a pattern has at most {LONGEST_PATTERN} characters")
    try:
        with warnings.catch_warnings(action="error", category=FutureWarning):
            re.compile(pattern)
    except (re.error, RecursionError, OverflowError, FutureWarning) as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
    head = _HEAD.match(pattern)
    if head is None:
        raise ValueError(f"{pattern!r}: {_SHAPE}")
    unknown = [name for name in (head[1] or head[2]).split("|") if name not in PROVIDERS]
    if unknown:
        raise ValueError(f"{pattern!r}: {unknown[0]} is no provider; there are {', '.join(PROVIDERS)}")
    if _has_outer_alternative(pattern):
        raise ValueError(f"{pattern!r}: put alternatives into parentheses: {_SHAPE}")
    return pattern


def matches(pattern: str, name: str) -> bool:
    """Return True if the pattern matches `name` (`gh/owner/repository/HEAD`) from its start, ignoring case."""
    return re.match(pattern, name, re.IGNORECASE) is not None


def _has_outer_alternative(pattern: str) -> bool:
    """Return True if a `|` is outside of parentheses and character classes."""
    depth, place, in_class = 0, 0, False
    while place < len(pattern):
        character = pattern[place]
        if character == "\\":
            place += 1
        elif in_class:
            in_class = character != "]"
        elif character == "[":
            in_class = True
            place += _length_of_class_start(pattern[place:]) - 1
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == "|" and depth == 0:
            return True
        place += 1
    return False


def _length_of_class_start(text: str) -> int:
    """Return the length of a class's start: `[`, `[^`, `[]` or `[^]`, where a leading `]` is a member."""
    match = re.match(r"\[\^?\]?", text)
    return len(match[0]) if match else 1
