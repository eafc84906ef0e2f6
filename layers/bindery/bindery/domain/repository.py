"""Resolved repositories, and the content of their trees."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field


class Repository(BaseModel):
    """Resolved repository. It stays the same when its branches move.

    provider, spec: as requested (`gh`, `o/r/HEAD`).
    ref: full commit id (40 or 64 hex digits), or a record's version.
    resolved_spec: the spec that leads to exactly this ref (`o/r/<commit>`).
    clone_url: for machines, https, without credentials.
    repo_url, ref_url: for people: the repository's page, and the page of this ref. The pages of an arbitrary git server are unknown:
        both are the requested clone address then, and clients clone it.
    canonical_url: the address that names the repository in keys and counters: one address for all spellings of a link. The provider
        sets it; the default is the clone address. Bindery sends no requests to it.
    private: whether its host requires Bindery's token for access.
    on_branch_or_tag: true if the commit is known to be on a branch or a tag of the repository itself, or is a published record.
        False if it is not, or if that is unknown: hosts also serve commits of pull requests and of forks under this address.
    """

    model_config = ConfigDict(frozen=True)

    provider: str
    spec: str
    ref: str
    resolved_spec: str
    clone_url: str
    repo_url: str
    ref_url: str
    canonical_url: str = Field(default_factory=lambda fields: fields["clone_url"])
    private: bool = False
    on_branch_or_tag: bool = False

    @property
    def link_ref(self) -> str:
        """Return the ref that the link names, decoded: `HEAD`, a branch, a tag, a full name or a commit."""
        before = self.resolved_spec.count("/")
        steps = self.spec.split("/", before)
        return unquote(steps[before]) if len(steps) > before and steps[before] else "HEAD"

    @property
    def may_be_foreign(self) -> bool:
        """Return True if another person may have made the commit: in a pull request or a fork of a public repository."""
        return not (self.on_branch_or_tag or self.private)


@dataclass(frozen=True)
class Entry:
    """File of a tree: git mode (0o100644, 0o100755, 0o120000 link, 0o160000 submodule) and blob id."""

    path: str
    mode: int
    id: str


@dataclass(frozen=True)
class Tree:
    """Complete listing of a commit. id: the id of the root tree. entries: by path, files only, `/` between folders."""

    id: str
    entries: Mapping[str, Entry] = field(default_factory=dict)
