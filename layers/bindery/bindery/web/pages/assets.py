"""Files for pages, and the badges.

Pages name a file with a hash of its content (`launch.1a2b3c4d5e6f.js`), so browsers may cache it for a year. Badges, and files
requested by their plain names, are revalidated each time.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

WEB = Path(__file__).parents[1]
KINDS: Mapping[str, str] = MappingProxyType(
    {
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
    }
)
FILES = frozenset({"bindery.css", "launch.js", "polling.js", "home.js", "icon.svg", "badge.svg", "badge_logo.svg"})
# Where BinderHub keeps its badge; many READMEs point there.
ALIASES: Mapping[str, str] = MappingProxyType({"images/badge.svg": "badge.svg"})


FOREVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"
HASHED = re.compile(r"(?P<stem>[a-z_]+)\.(?P<hash>[0-9a-f]{12})(?P<kind>\.[a-z]+)")


@dataclass(frozen=True)
class Asset:
    """File of a response. cache_control: the header of this name."""

    content_type: str
    body: bytes
    cache_control: str = ASK_AGAIN


def asset(name: str) -> Asset | None:
    """Return the file called `name` (the path after `/assets/`, or a badge's name), or None. Only listed names are read.

    A name with the hash of another version, as in a page from before a deployment, gets this version, with revalidation.
    """
    match = HASHED.fullmatch(name)
    file = match["stem"] + match["kind"] if match else ALIASES.get(name, name)
    if file not in FILES:
        return None
    body = _body(file)
    lasts = match is not None and match["hash"] == _hash(file)
    return Asset(KINDS[Path(file).suffix], body, FOREVER if lasts else ASK_AGAIN)


def hashed(file: str) -> str:
    """Return the name of a listed file with its hash, for pages."""
    stem, _, kind = file.rpartition(".")
    return f"{stem}.{_hash(file)}.{kind}"


@cache
def _body(file: str) -> bytes:
    return (WEB / "assets" / file).read_bytes()


@cache
def _hash(file: str) -> str:
    return sha256(_body(file)).hexdigest()[:12]
