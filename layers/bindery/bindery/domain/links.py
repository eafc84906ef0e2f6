"""Normal form of launch links: pages, event streams, the API and detection normalize links with this module.

Book builders, link generators and mail programs write the same link with additional slashes, or with other characters
percent-encoded. An encoded slash stays encoded, because it is part of a name (`feature%2Fx`, `https%3A%2F%2F...`).
"""

import re
from typing import Final

ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
"""Characters whose percent-encoding does not change the meaning (RFC 3986, section 2.3)."""
SLASHES: Final = re.compile(r"(?<!:)/{2,}")
"""Rows of slashes to shorten, except the slashes of `https://` in an address that is not encoded: an error quotes that address."""
AS_IT_IS: Final = "doi"
"""Provider part of links whose names may have two slashes in a row."""


def plain_path(path: str) -> str:
    """Return a path with one slash at its start and between its steps, and with normalized escapes."""
    return SLASHES.sub("/", "/" + _escaped(path).lstrip("/"))


def plain_spec(provider: str, spec: str) -> str:
    """Return the normalized spec: no empty steps, no slash at either end. It may be empty."""
    text = _without_last_slashes(_escaped(spec).lstrip("/"))
    return text if provider == AS_IT_IS else SLASHES.sub("/", text)


def _without_last_slashes(text: str) -> str:
    """Return the text without slashes at its end.

    It uses no regular expression: the time of a search would be quadratic in the length of a row of slashes.
    """
    end = len(text)
    while text.endswith(("/", "%2F"), 0, end):
        end -= 1 if text[end - 1] == "/" else 3
    return text[:end]


def _escaped(text: str) -> str:
    """Return the text with escapes in capital letters, and without escapes of unreserved characters."""
    return ESCAPE.sub(lambda escape: _one(escape[1]), text)


def _one(digits: str) -> str:
    character = chr(int(digits, 16))
    return character if character in UNRESERVED else f"%{digits.upper()}"
