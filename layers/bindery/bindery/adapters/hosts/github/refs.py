"""Requests that find out whether a commit that GitHub shows under a repository's name is on a branch or tag of its own.

GitHub keeps the objects of a repository and of all its forks together, and shows each commit under every one of their names.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from pydantic import BaseModel, RootModel

from bindery.adapters.hosts.rest_api import HostApi
from bindery.adapters.http.budget import MB
from bindery.domain.errors import RepositoryNotFound, RepositoryTooLarge

MOST_BYTES: Final = 4 * MB
IN_HISTORY: Final = {"behind", "identical"}
"""The statuses of a commit that the other one's history holds. A commit of a fork is `ahead` or `diverged`."""


class _Branch(BaseModel):
    name: str


class _Branches(RootModel[list[_Branch]]):
    """As docs.github.com/en/rest/commits/commits#list-branches-for-head-commit has it."""


class _Object(BaseModel):
    type: str
    sha: str


class _Pointer(BaseModel):
    """A ref or an annotated tag: docs.github.com/en/rest/git/refs#get-a-reference, .../git/tags#get-a-tag."""

    object: _Object


class _Comparison(BaseModel):
    """As docs.github.com/en/rest/commits/commits#compare-two-commits has it."""

    status: str


@dataclass(frozen=True)
class GitHubRefs:
    """name: `owner/repository`. page: the repository's, for errors. Each question is one request, or two for an annotated tag.

    All methods raise HostLimited and HostUnreachable. An answer that is too large or refused counts as no.
    """

    api: HostApi
    name: str
    page: str

    def is_head(self, commit: str) -> bool:
        """Return True if a branch leads to the commit now."""
        body = self._asked(f"commits/{commit}/branches-where-head")
        return body is not None and bool(self.api.read(_Branches, body).root)

    def is_tag(self, ref: str, commit: str) -> bool:
        """Return True if `ref` is a tag that leads to the commit."""
        name = ref.removeprefix("refs/").removeprefix("tags/")
        body = self._asked(f"git/ref/tags/{quote(name, safe='/')}")
        found = self.api.read(_Pointer, body).object if body is not None else None
        if found and found.type == "tag":
            body = self._asked(f"git/tags/{quote(found.sha, safe='')}")
            found = self.api.read(_Pointer, body).object if body is not None else None
        return found is not None and found.sha == commit

    def is_in_history(self, commit: str, tip: str) -> bool:
        """Return True if `tip` is the commit, or if its history holds it."""
        if commit == tip:
            return True
        body = self._asked(f"compare/{tip}...{commit}?per_page=1")
        return body is not None and self.api.read(_Comparison, body).status in IN_HISTORY

    def _asked(self, path: str) -> bytes | None:
        try:
            return self.api.get(f"/repos/{self.name}/{path}", self.page, max_bytes=MOST_BYTES).body
        except (RepositoryNotFound, RepositoryTooLarge):
            return None
