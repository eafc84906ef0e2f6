"""Addresses that people copy from their browser or their terminal, and what they ask for: text only, nobody is asked."""

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
"""As git writes what ssh reaches: `git@host:owner/repository.git`."""
DOI: Final = re.compile(r"(?:doi:\s*|info:doi/)?(10\.[0-9]{4,9}(?:\.[0-9]+)*/\S+)", re.IGNORECASE)
DOI_RESOLVERS: Final = frozenset({"doi.org", "dx.doi.org", "www.doi.org"})
HOST: Final = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(:[0-9]{1,5})?/.")
TARGETS: Final = (
    re.compile(r"\]\((https?://[^\s()]+(?:\([^\s()]*\)[^\s()]*)*)\)\s*\Z"),
    re.compile(r"<a\s[^>]{0,1000}?href=[\"']?(https?://[^\s\"'>]+)", re.IGNORECASE),
    re.compile(r":target:\s*(https?://\S+)"),
)
"""Where a badge in Markdown, HTML and reStructuredText leads."""
CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class Kind(StrEnum):
    """What a path is: a file or a folder of the repository, or a page of the session's server."""

    FILE = "file"
    FOLDER = "folder"
    PAGE = "page"


@dataclass(frozen=True)
class PastedUrl:
    """What an address asks for.

    repo: the repository as forms show it (`o/r`, a clone address). spec: as in a link, ref included. ref: as people write it,
    empty where specs have none. path: decoded, without a leading slash. sure: False if another host's word goes before this.
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
    """An address in parts. host: lower case, with its port unless it is the usual one. steps: of the path, decoded, none empty or `.`."""

    scheme: str
    host: str
    steps: tuple[str, ...]

    @classmethod
    def of(cls, url: str) -> "Place | None":
        """None for what is no address of a page."""
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
        shown = f"[{host}]" if ":" in host else host
        usual = port in {None, USUAL_PORTS[parts.scheme]}
        return cls(parts.scheme, shown if usual else f"{shown}:{port}", steps)

    def below(self, home: "Place | None") -> tuple[str, ...] | None:
        """The steps after those of `home`, which may be written with `www.`; None if it is not below it."""
        if home is None or self.host.removeprefix("www.") != home.host.removeprefix("www."):
            return None
        count = len(home.steps)
        return self.steps[count:] if self.steps[:count] == home.steps else None

    def upto(self, count: int) -> str:
        """The address that ends after so many steps."""
        return "/".join((f"{self.scheme}://{self.host}", *(quote(step, safe="~@+") for step in self.steps[:count])))


@dataclass(frozen=True)
class Copied:
    """An address without the words around it. ref: a branch that those words name, or empty."""

    address: str
    ref: str = ""


def without_words(text: str) -> Copied:
    """Return the address in a `git clone` command, or the one that a badge leads to; of any other text all of it."""
    text = text.strip()
    if len(text) > LONGEST:
        return Copied(text)
    words = text.removeprefix("$ ").split()
    if words[:2] == ["git", "clone"]:
        return _cloned(words[2:])
    target = next((found for pattern in TARGETS if (found := pattern.search(text))), None)
    return Copied(target[1] if target else text)


def _cloned(words: Sequence[str]) -> Copied:
    """The arguments of `git clone`: the first that is an address, and the branch."""
    branch = next((word.partition("=")[2] for word in words if word.startswith("--branch=")), "")
    branch = next((value for word, value in pairwise(words) if word in {"-b", "--branch"}), branch)
    address = next(
        (word.strip("'\"") for word in words if "/" in word and not word.startswith("-") and word != branch), ""
    )
    return Copied(address, branch)


def plain_address(text: str) -> str | None:
    """An https or http address without user or password, from any spelling of one; None for what is no address.

    Addresses for ssh and for git's own protocol become the ones of the same repository on the web, DOIs the ones they lead from.
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
        )  # ssh's port says nothing of the web's
    except ValueError:
        return None
    if not host or parts.scheme not in {*USUAL_PORTS, *OTHER_SCHEMES}:
        return None
    scheme = "http" if parts.scheme == "http" else "https"
    return parts._replace(scheme=scheme, netloc=f"{host}{port}").geturl()


def doi_of(url: str) -> str | None:
    """The DOI whose address at the DOI system this is."""
    parts = urlsplit(url)
    found = DOI.fullmatch(unquote(parts.path).strip("/")) if parts.hostname in DOI_RESOLVERS else None
    return found[1] if found else None


def query_of(url: str) -> dict[str, str]:
    """The query's parameters, the last of each name. Of a query with over 100 none counts."""
    try:
        return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True, max_num_fields=100)) if "?" in url else {}
    except ValueError:
        return {}


def ref_and_path(steps: Sequence[str]) -> tuple[str, str]:
    """`main/a/b`, or `refs/heads/main/a/b`, as a ref and a path. Where a ref has slashes nobody can tell: its first part is taken."""
    named = 2 if tuple(steps[:1]) == ("refs",) and len(steps) > 2 and steps[1] in {"heads", "tags"} else 0
    return (steps[named] if len(steps) > named else ""), "/".join(steps[named + 1 :])
