"""Submodules of a commit: their addresses, and the settings of git that apply."""

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
from bindery_builder.contents.work_tree import shown

MOST_SUBMODULES: Final = 50
DEEPEST: Final = 3
MOST_NOTES: Final = 10
"""Missing submodules that a launch lists individually."""


@dataclass(frozen=True)
class Submodule:
    """Entry of `.gitmodules`. url: as written there. fetched: False for `update = none`.

    Other values of `update` are ignored: they may be commands. Submodules are always shallow, as with `shallow = true`. git reads
    `branch` from the working copy's own `.gitmodules`, for `git submodule update --remote`.
    """

    name: bytes
    url: str
    fetched: bool = True


def read_gitmodules(content: bytes) -> dict[bytes, Submodule]:
    """Return the entries of a `.gitmodules` file by path.

    The file is untrusted: its includes are not read. Raises RepositoryUnusable.
    """
    try:
        config = ConfigFile.from_file(BytesIO(content), expand_includes=False)
        entries = [_entry(config, section) for section in config.sections()]
    except BROKEN as error:
        raise RepositoryUnusable(why="its .gitmodules cannot be read") from error
    return dict(entry for entry in entries if entry is not None)


def _entry(config: ConfigFile, section: tuple[bytes, ...]) -> tuple[bytes, Submodule] | None:
    if len(section) != 2 or section[0].lower() != b"submodule":
        return None
    values = {name.lower(): value for name, value in config.items(section)}
    if b"path" not in values or b"url" not in values:
        return None
    fetched = values.get(b"update", b"").strip().lower() != b"none"
    return values[b"path"], Submodule(section[1], values[b"url"].decode(errors="replace"), fetched)


def web_address(url: str, parent: str) -> str:
    """Return the http or https address for a submodule's `url` in `.gitmodules`.

    parent: the clone address of the repository that contains the entry. Relative addresses are resolved below it. Addresses for ssh
    and for git's own protocol become https, or get the parent's scheme and port if they name the parent's host. User and password
    are removed. Raises BadAddress.
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
"""Reasons why a part of a working copy is missing, by the error's type."""


def why(error: BinderyError) -> str:
    """Return the reason why a part of a working copy is missing, as the end of a sentence."""
    reasons = (reason for kind, reason in REASONS if isinstance(error, kind))
    return next(reasons, type(error).__name__).format(**error.facts)
