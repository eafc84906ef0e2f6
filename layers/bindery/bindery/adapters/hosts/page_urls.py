"""How hosts of git write the addresses of a repository's pages, and what such an address asks for."""

import re
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import quote, unquote

from bindery.domain.urls.pasted import Kind, PastedUrl, ref_and_path
from bindery.ports.repository_provider import RepositoryProvider


class Shown(NamedTuple):
    """What a page shows of its repository. ref: empty where the page is no branch's."""

    ref: str
    path: str = ""
    kind: Kind = Kind.FILE


FILES = frozenset({"blob", "raw", "blame", "edit", "resolve", "src", "media"})
COMMITS = frozenset({"commit", "commits", "branch"})
TAGS = frozenset({"releases", "tags", "tag"})
NO_TAG = frozenset({"latest", "new"})
# In full, as the refs are called in git. That GitLab's commits API takes such a name is not proved: its documentation speaks of
# branches and tags (docs.gitlab.com/api/commits). Gitea and Forgejo are asked by git, which takes it for certain.
CHANGES = MappingProxyType({"merge_requests": "refs/merge-requests/{}/head", "pulls": "refs/pull/{}/head"})


def shown_page(steps: tuple[str, ...]) -> Shown | None:
    """What the steps of an address behind its repository mean; None if they mean nothing that is known."""
    if steps[:1] == ("-",):  # GitLab sets its pages apart from groups like this
        return (shown_page(steps[1:]) if steps[1:2] != ("-",) else None) or Shown("")
    word, rest = next(iter(steps), ""), steps[1:]
    if word in CHANGES and rest and re.fullmatch("[0-9]{1,10}", rest[0]):
        return Shown(CHANGES[word].format(rest[0]))
    if word in FILES and len(rest) > 1 and rest[0] in {"branch", "tag", "commit"}:  # Gitea, Forgejo
        rest = rest[1:]
    ref, path = ref_and_path(rest)
    if not ref:
        return None
    if word in FILES or word == "tree":
        return Shown(ref, path, Kind.FOLDER if path and word == "tree" else Kind.FILE)
    if word in TAGS:
        return Shown(_tag(rest))
    return Shown(ref) if word in COMMITS else None


def _tag(steps: tuple[str, ...]) -> str:
    """The tag of a release: its name may have slashes."""
    if steps[0] == "download":
        return next(iter(steps[1:]), "")
    return "" if steps[0] in NO_TAG else "/".join(steps[1:] if steps[0] == "tag" else steps)


def pasted(provider: RepositoryProvider, repo: str, shown: Shown | None = None, *, sure: bool = True) -> PastedUrl:
    """What an address asks for, with the spec as a link to this provider has it."""
    display, (ref, path, kind) = provider.display, shown or Shown("")
    ref = ref or display.ref_default or ""
    quoted = quote(repo, safe="" if display.url_encode else "/")
    spec = f"{quoted}/{quote(ref, safe='/')}" if ref else quoted
    return PastedUrl(provider.id, repo, spec, ref, path, kind, sure)


def by_pattern(provider: RepositoryProvider, address: str) -> PastedUrl | None:
    """What the provider's own pattern for forms (`display.detect`) finds: enough for hosts whose pages are written in one way."""
    pattern = re.sub(r"\(\?<(?=[a-z])", "(?P<", provider.display.detect or "(?!)")  # JavaScript's way of naming groups
    found = re.search(pattern, address)
    parts = {name: unquote(value) for name, value in found.groupdict().items() if value} if found else {}
    if "repo" not in parts:
        return None
    folder = parts.get("urlpath", "")
    path, kind = (folder, Kind.FOLDER) if folder else (parts.get("filepath", ""), Kind.FILE)
    return pasted(provider, parts["repo"], Shown(parts.get("ref", ""), path, kind))
