"""Files that pages need, and the badges."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

HERE = Path(__file__).parent
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


@dataclass(frozen=True)
class Asset:
    """A file, as it is sent."""

    content_type: str
    body: bytes


def asset(name: str) -> Asset | None:
    """The file called `name` (what follows `/assets/`, or a badge's name), or None. Only listed names are read."""
    file = ALIASES.get(name, name)
    if file not in FILES:
        return None
    path = HERE / "assets" / file
    return Asset(KINDS[path.suffix], path.read_bytes())
