"""What a request says, wherever it came in."""

from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from bindery.domain.errors import BadRequest
from bindery.web.text import encodable

LONGEST_LINK = 4096
IN_PATHS = "/%:@!$&'()*+,;=~"  # what stands in a path as it is; what is encoded already stays so
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Link:
    """provider, spec: as they stand in a link's path, percent-encoding kept."""

    provider: str
    spec: str


def read_link(raw_path: str, prefix: str) -> Link:
    """`/v2/gh/o/r/HEAD` behind `prefix` (`/v2/`). Raises BadRequest."""
    if len(raw_path) > LONGEST_LINK:
        raise BadRequest(why=f"the link is longer than {LONGEST_LINK} characters")
    provider, _, spec = raw_path.removeprefix(prefix).partition("/")
    if not provider or not spec.strip("/"):
        raise BadRequest(why=f"a link looks like {prefix}gh/owner/repository/HEAD")
    return Link(provider, spec)


def launch_path(provider: str, spec: str) -> str:
    """The launch page of what was launched, fit for a header. spec: as it stood in its link, or as a script gave it."""
    return f"/v2/{provider}/" + quote(encodable(spec), safe=IN_PATHS)


def own_origin(public_url: str, scheme: str, host: str, prefix: str = "") -> str:
    """How this Bindery is addressed: as set, or as the request did; without a trailing slash."""
    return public_url.rstrip("/") if public_url else f"{scheme}://{host}{prefix}"


def prefix_of(public_url: str, stage: str, whole_path: str, path: str) -> str:
    """What stands before our own paths in links: API Gateway's own address begins with the stage, a proxy may add anything.

    whole_path: as the client asked for it; path: as it has come to us. Mostly empty; no trailing slash.
    """
    if public_url:
        return urlsplit(public_url).path.rstrip("/")
    begins = f"/{stage}/"
    return f"/{stage}" if stage and f"{whole_path}/".startswith(begins) and not path.startswith(begins) else ""


def is_loopback(host: str) -> bool:
    """Whether a `Host` header names this machine itself."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".") in LOOPBACK_NAMES
    except ValueError:
        return False
