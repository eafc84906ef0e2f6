"""Submodules of a commit: where each one is fetched from, and which of git's settings for it count."""

from dataclasses import dataclass
from io import BytesIO
from typing import Final
from urllib.parse import urljoin, urlsplit

from dulwich.config import ConfigFile

from bindery.adapters.git.packs import BROKEN
from bindery.adapters.http.address_rules import parsed, without_user
from bindery.domain.errors import (
    BadAddress,
    BinderyError,
    ForbiddenAddress,
    HostDown,
    HostLimited,
    HostUnreachable,
    RefNotFound,
    RepositoryNotFound,
    RepositoryTooLarge,
    RepositoryUnusable,
)
from bindery.domain.urls.pasted import SCP, plain_address
from bindery_builder.contents.checkout import shown

MOST_SUBMODULES: Final = 50
DEEPEST: Final = 3
MOST_NOTES: Final = 10
"""Missing submodules that a launch names one by one."""


@dataclass(frozen=True)
class Submodule:
    """One entry of `.gitmodules`. url: as written there. fetched: False for `update = none`.

    Other values of `update` are not read: they may be commands. Submodules are always shallow, as `shallow = true` asks. git
    reads `branch` from the working copy's own `.gitmodules`, for `git submodule update --remote`.
    """

    name: bytes
    url: str
    fetched: bool = True


def read_gitmodules(content: bytes) -> dict[bytes, Submodule]:
    """Return the entries of a `.gitmodules` file by path.

    The file is a stranger's: what it includes is not read. Raises RepositoryUnusable.
    """
    try:
        config = ConfigFile.from_file(BytesIO(content), expand_includes=False)
        found = [_entry(config, section) for section in config.sections()]
    except BROKEN as error:
        raise RepositoryUnusable(why="its .gitmodules cannot be read") from error
    return dict(entry for entry in found if entry is not None)


def _entry(config: ConfigFile, section: tuple[bytes, ...]) -> tuple[bytes, Submodule] | None:
    if len(section) != 2 or section[0].lower() != b"submodule":
        return None
    values = {name.lower(): value for name, value in config.items(section)}
    if b"path" not in values or b"url" not in values:
        return None
    fetched = values.get(b"update", b"").strip().lower() != b"none"
    return values[b"path"], Submodule(section[1], values[b"url"].decode(errors="replace"), fetched)


def web_address(url: str, parent: str) -> str:
    """Return the http or https address of a submodule whose `.gitmodules` entry has `url`.

    parent: the clone address of the repository that the entry is in. Relative addresses are below it. Addresses for ssh and for
    git's own protocol become https, or the parent's scheme and port if they name the parent's host. User and password are
    dropped. Raises BadAddress.
    """
    if url.startswith(("./", "../")):
        absolute: str | None = urljoin(f"{parent.rstrip('/')}/", url).rstrip("/")
    elif "://" in url or SCP.fullmatch(url):
        absolute = plain_address(url)
    else:
        absolute = None
    if absolute is None:
        raise BadAddress(url=without_user(url), why="only http and https addresses can be fetched")
    parts, home = urlsplit(absolute), urlsplit(parent)
    if not url.lower().startswith(("http:", "https:")) and parts.hostname == home.hostname:
        absolute = parts._replace(scheme=home.scheme, netloc=home.netloc).geturl()
    parsed(absolute)
    return absolute


def note_of(path: bytes, url: str, error: BinderyError) -> str:
    """Return the note for a submodule that could not be fetched. url: as in `.gitmodules`."""
    return f"The submodule {shown(path)} ({without_user(url)}) is missing and its folder is empty: {why(error)}."


REASONS: Final = (
    (RepositoryNotFound, "there is no repository at this address, or it is private"),
    (RefNotFound, "its repository has no commit {ref}"),
    (RepositoryTooLarge, "it is over the limit ({limit})"),
    (ForbiddenAddress, "{host} is a private or reserved address"),
    (HostLimited, "{host} has had too many requests and does not answer for a while"),
    (HostDown, "{host} has not answered lately"),
    (HostUnreachable, "{host} cannot be reached: {why}"),
    (BadAddress, "{why}"),
    (RepositoryUnusable, "{why}"),
)
"""By the error's type: why a part of a working copy could not be had."""


def why(error: BinderyError) -> str:
    """Return why a part of a working copy could not be had, as the end of a sentence."""
    found = (reason for kind, reason in REASONS if isinstance(error, kind))
    return next(found, type(error).__name__).format(**error.facts)
