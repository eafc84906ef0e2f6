"""The one spelling of a launch link: pages, event streams, the API and detection all read links through here.

Book builders, link generators and mail programs write the same link with more slashes than it has, or with other characters
percent-encoded. What stays: an encoded slash, which is part of a name (`feature%2Fx`, `https%3A%2F%2F...`).
"""

import re
from typing import Final

ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
"""Characters whose percent-encoding means nothing (RFC 3986, section 2.3)."""
SLASHES: Final = re.compile(r"(?<!:)/{2,}")
"""The slashes of `https://` in an address that should have been encoded stay: it is named in an error."""
AS_IT_IS: Final = "doi"
"""The kind of link whose names may have two slashes in a row."""


def plain_path(path: str) -> str:
    """A path with one slash at its start and between its steps, and with each escape in its one spelling."""
    return SLASHES.sub("/", "/" + _escaped(path).lstrip("/"))


def plain_spec(provider: str, spec: str) -> str:
    """A spec in its one spelling: no empty steps, no slash at either end. Empty if nothing is left."""
    text = _without_last_slashes(_escaped(spec).lstrip("/"))
    return text if provider == AS_IT_IS else SLASHES.sub("/", text)


def _without_last_slashes(text: str) -> str:
    """Without a regular expression: one that is searched needs time that grows with the square of a row of slashes."""
    end = len(text)
    while text.endswith(("/", "%2F"), 0, end):
        end -= 1 if text[end - 1] == "/" else 3
    return text[:end]


def _escaped(text: str) -> str:
    """Escapes with capital letters, and none where the character itself means the same."""
    return ESCAPE.sub(lambda escape: _one(escape[1]), text)


def _one(digits: str) -> str:
    character = chr(int(digits, 16))
    return character if character in UNRESERVED else f"%{digits.upper()}"
