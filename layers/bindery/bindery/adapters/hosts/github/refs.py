"""Requests that check whether a commit is on a branch or tag of the GitHub repository itself.

GitHub stores the objects of a repository and of all its forks together, and shows each commit under each of their names.
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
"""Statuses of a commit in the other commit's history. A commit of a fork is `ahead` or `diverged`."""


class _Branch(BaseModel):
    name: str


class _Branches(RootModel[list[_Branch]]):
    """List of branches: docs.github.com/en/rest/commits/commits#list-branches-for-head-commit."""


class _Object(BaseModel):
    type: str
    sha: str


class _Pointer(BaseModel):
    """Ref or annotated tag: docs.github.com/en/rest/git/refs#get-a-reference, .../git/tags#get-a-tag."""

    object: _Object


class _Comparison(BaseModel):
    """Comparison of two commits: docs.github.com/en/rest/commits/commits#compare-two-commits."""

    status: str


@dataclass(frozen=True)
class GitHubRefs:
    """Checks of a commit against a repository's branches and tags.

    name: `owner/repository`. page: the repository's page, for errors. Each check sends one request, or two for an annotated tag.

    All methods raise HostLimited and HostUnreachable. A response that is too large or refused counts as False.
    """

    api: HostApi
    name: str
    page: str

    def is_head(self, commit: str) -> bool:
        """Return True if a branch points to the commit now."""
        body = self._get(f"commits/{commit}/branches-where-head")
        return body is not None and bool(self.api.read(_Branches, body).root)

    def is_tag(self, ref: str, commit: str) -> bool:
        """Return True if `ref` is a tag that points to the commit."""
        name = ref.removeprefix("refs/").removeprefix("tags/")
        body = self._get(f"git/ref/tags/{quote(name, safe='/')}")
        target = self.api.read(_Pointer, body).object if body is not None else None
        if target and target.type == "tag":
            body = self._get(f"git/tags/{quote(target.sha, safe='')}")
            target = self.api.read(_Pointer, body).object if body is not None else None
        return target is not None and target.sha == commit

    def is_in_history(self, commit: str, tip: str) -> bool:
        """Return True if `tip` is the commit or has the commit in its history."""
        if commit == tip:
            return True
        body = self._get(f"compare/{tip}...{commit}?per_page=1")
        return body is not None and self.api.read(_Comparison, body).status in IN_HISTORY

    def _get(self, path: str) -> bytes | None:
        try:
            return self.api.get(f"/repos/{self.name}/{path}", self.page, max_bytes=MOST_BYTES).body
        except (RepositoryNotFound, RepositoryTooLarge):
            return None
