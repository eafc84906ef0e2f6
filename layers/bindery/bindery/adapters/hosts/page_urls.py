"""Page addresses of repositories on git hosts, and the refs and paths that they show."""

import re
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import quote, unquote

from bindery.domain.urls.pasted import Kind, PastedUrl, ref_and_path
from bindery.ports.repository_provider import RepositoryProvider


class Shown(NamedTuple):
    """Ref and path that a page shows. ref: empty if the page belongs to no branch."""

    ref: str
    path: str = ""
    kind: Kind = Kind.FILE


FILES = frozenset({"blob", "raw", "blame", "edit", "resolve", "src", "media"})
COMMITS = frozenset({"commit", "commits", "branch"})
TAGS = frozenset({"releases", "tags", "tag"})
NO_TAG = frozenset({"latest", "new"})
# Full names of the refs in git. It is not verified that GitLab's commits API accepts them: its documentation mentions only
# branches and tags (docs.gitlab.com/api/commits). For Gitea and Forgejo, git is used, which accepts them.
CHANGES = MappingProxyType({"merge_requests": "refs/merge-requests/{}/head", "pulls": "refs/pull/{}/head"})


def shown_page(steps: tuple[str, ...]) -> Shown | None:
    """Return the ref and path for the address segments after a repository, or None for unknown segments."""
    if steps[:1] == ("-",):  # GitLab separates its pages from group names with `-`
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
    """Return the tag of a release page. A tag's name may contain slashes."""
    if steps[0] == "download":
        return next(iter(steps[1:]), "")
    return "" if steps[0] in NO_TAG else "/".join(steps[1:] if steps[0] == "tag" else steps)


def pasted(provider: RepositoryProvider, repo: str, shown: Shown | None = None, *, sure: bool = True) -> PastedUrl:
    """Return the parts of a pasted address, with the spec as links to this provider contain it."""
    display, (ref, path, kind) = provider.display, shown or Shown("")
    ref = ref or display.ref_default or ""
    quoted = quote(repo, safe="" if display.url_encode else "/")
    spec = f"{quoted}/{quote(ref, safe='/')}" if ref else quoted
    return PastedUrl(provider.id, repo, spec, ref, path, kind, sure)


def by_pattern(provider: RepositoryProvider, address: str) -> PastedUrl | None:
    """Return the parts of an address that the provider's form pattern (`display.detect`) matches, else None.

    The pattern is sufficient for hosts that use one format of page addresses.
    """
    # The pattern has JavaScript's syntax for named groups.
    pattern = re.sub(r"\(\?<(?=[a-z])", "(?P<", provider.display.detect or "(?!)")
    match = re.search(pattern, address)
    parts = {name: unquote(value) for name, value in match.groupdict().items() if value} if match else {}
    if "repo" not in parts:
        return None
    folder = parts.get("urlpath", "")
    path, kind = (folder, Kind.FOLDER) if folder else (parts.get("filepath", ""), Kind.FILE)
    return pasted(provider, parts["repo"], Shown(parts.get("ref", ""), path, kind))
