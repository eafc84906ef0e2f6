"""Parser for addresses that people copy from their browser or their terminal. It reads only the text and sends no requests."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

LONGEST: Final = 4096
USUAL_PORTS: Final = {"http": 80, "https": 443}
OTHER_SCHEMES: Final = frozenset({"ssh", "git"})
SCP: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}@([A-Za-z0-9.-]{1,253}):(?!//)(.+)")
"""Git's short form of ssh addresses: `git@host:owner/repository.git`."""
DOI: Final = re.compile(r"(?:doi:\s*|info:doi/)?(10\.[0-9]{4,9}(?:\.[0-9]+)*/\S+)", re.IGNORECASE)
DOI_RESOLVERS: Final = frozenset({"doi.org", "dx.doi.org", "www.doi.org"})
HOST: Final = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(:[0-9]{1,5})?/.")
TARGETS: Final = (
    re.compile(r"\]\((https?://[^\s()]+(?:\([^\s()]*\)[^\s()]*)*)\)\s*\Z"),
    re.compile(r"<a\s[^>]{0,1000}?href=[\"']?(https?://[^\s\"'>]+)", re.IGNORECASE),
    re.compile(r":target:\s*(https?://\S+)"),
)
"""Targets of badges in Markdown, HTML and reStructuredText."""
CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class Kind(StrEnum):
    """Kind of a path: a file or a folder of the repository, or a page of the session's server."""

    FILE = "file"
    FOLDER = "folder"
    PAGE = "page"


@dataclass(frozen=True)
class PastedUrl:
    """Repository and path that an address refers to.

    repo: the repository as forms show it (`o/r`, a clone address). spec: as in a link, ref included. ref: as people write it,
    empty if specs have no ref. path: decoded, without a leading slash. sure: False if another provider's result takes precedence.
    """

    provider: str
    repo: str
    spec: str
    ref: str
    path: str = ""
    kind: Kind = Kind.FILE
    sure: bool = True


@dataclass(frozen=True)
class Place:
    """Parts of an address. host: lower case, with its port unless it is the default port.

    steps: the steps of the path, decoded, without empty steps and `.`.
    """

    scheme: str
    host: str
    steps: tuple[str, ...]

    @classmethod
    def of(cls, url: str) -> "Place | None":
        """Return the parts of a page's address; None for other text."""
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").rstrip("."), parts.port
        except ValueError:
            return None
        steps = tuple(step for part in parts.path.split("/") if (step := unquote(part)) not in {"", "."})
        if (
            parts.scheme not in USUAL_PORTS
            or not host
            or ".." in "/".join(steps).split("/")
            or CONTROLS.search("".join(steps))
        ):
            return None
        name = f"[{host}]" if ":" in host else host
        usual = port in {None, USUAL_PORTS[parts.scheme]}
        return cls(parts.scheme, name if usual else f"{name}:{port}", steps)

    def below(self, home: "Place | None") -> tuple[str, ...] | None:
        """Return the steps after those of `home`; None if the address is not below `home`. A leading `www.` is ignored."""
        if home is None or self.host.removeprefix("www.") != home.host.removeprefix("www."):
            return None
        count = len(home.steps)
        return self.steps[count:] if self.steps[:count] == home.steps else None

    def upto(self, count: int) -> str:
        """Return the address up to its first `count` steps."""
        return "/".join((f"{self.scheme}://{self.host}", *(quote(step, safe="~@+") for step in self.steps[:count])))


@dataclass(frozen=True)
class Copied:
    """Address without the text around it. ref: a branch that this text names, or empty."""

    address: str
    ref: str = ""


def without_words(text: str) -> Copied:
    """Return the address in a `git clone` command, or the target of a badge; any other text unchanged."""
    text = text.strip()
    if len(text) > LONGEST:
        return Copied(text)
    words = text.removeprefix("$ ").split()
    if words[:2] == ["git", "clone"]:
        return _cloned(words[2:])
    target = next((match for pattern in TARGETS if (match := pattern.search(text))), None)
    return Copied(target[1] if target else text)


def _cloned(words: Sequence[str]) -> Copied:
    """Return the first address and the branch from the arguments of `git clone`."""
    branch = next((word.partition("=")[2] for word in words if word.startswith("--branch=")), "")
    branch = next((value for word, value in pairwise(words) if word in {"-b", "--branch"}), branch)
    address = next(
        (word.strip("'\"") for word in words if "/" in word and not word.startswith("-") and word != branch), ""
    )
    return Copied(address, branch)


def plain_address(text: str) -> str | None:
    """Return an https or http address without user and password, from any spelling; None for text that is no address.

    Addresses for ssh and for git's own protocol become web addresses of the same repository. DOIs become addresses at doi.org.
    """
    text = text.strip().removeprefix("git+")
    if len(text) > LONGEST or CONTROLS.search(text):
        return None
    if scp := SCP.fullmatch(text):
        return f"https://{scp[1]}/{quote(scp[2].lstrip('/'), safe='/~')}"
    if doi := DOI.fullmatch(text):
        return f"https://doi.org/{quote(doi[1], safe='/:;()+~@')}"
    if "://" not in text and HOST.match(text):
        text = f"https://{text}"
    try:
        parts = urlsplit(text)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        port = (
            f":{parts.port}" if parts.port and parts.scheme in USUAL_PORTS else ""
        )  # ssh's port is unrelated to the web server's port
    except ValueError:
        return None
    if not host or parts.scheme not in {*USUAL_PORTS, *OTHER_SCHEMES}:
        return None
    scheme = "http" if parts.scheme == "http" else "https"
    return parts._replace(scheme=scheme, netloc=f"{host}{port}").geturl()


def doi_of(url: str) -> str | None:
    """Return the DOI of an address at the DOI system; None for other addresses."""
    parts = urlsplit(url)
    match = DOI.fullmatch(unquote(parts.path).strip("/")) if parts.hostname in DOI_RESOLVERS else None
    return match[1] if match else None


def query_of(url: str) -> dict[str, str]:
    """Return the query's parameters, the last value of each name; no parameters for a query with more than 100."""
    try:
        return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True, max_num_fields=100)) if "?" in url else {}
    except ValueError:
        return {}


def ref_and_path(steps: Sequence[str]) -> tuple[str, str]:
    """Split `main/a/b`, or `refs/heads/main/a/b`, into a ref and a path.

    The steps do not tell whether a ref contains slashes: its first part is taken as the ref.
    """
    first = 2 if tuple(steps[:1]) == ("refs",) and len(steps) > 2 and steps[1] in {"heads", "tags"} else 0
    return (steps[first] if len(steps) > first else ""), "/".join(steps[first + 1 :])
