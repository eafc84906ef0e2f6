"""The repository provider port: access to one host of repositories."""

from dataclasses import dataclass
from typing import Protocol

from bindery.domain.repository import Entry, Repository, Tree
from bindery.domain.urls.pasted import PastedUrl


@dataclass(frozen=True)
class Display:
    """Description of a provider for people and for `/api/repoproviders`.

    example: an example of a spec. regex: JavaScript-compatible; it matches whole specs, ref included, as in BinderHub.
    detect: a regex for pasted addresses, with the named group `repo` (and optionally `ref`, `filepath`, `urlpath`).
    grammar: the form of a spec, for people. refs: the allowed forms of a ref. kept: which responses of the host are cached, and how long.
    url_encode: whether the repository part is percent-encoded in a spec. ref_default: None if a spec has no ref.
    """

    name: str
    example: str
    regex: str
    detect: str | None
    repo_label: str
    repo_placeholder: str
    url_encode: bool
    ref_default: str | None
    grammar: str = ""
    refs: str = ""
    kept: str = ""


@dataclass(frozen=True)
class Resolved:
    """Result of `resolve`. note: a sentence for the visitor, such as that HEAD was taken for a missing `master`."""

    repository: Repository
    note: str = ""


class RepositoryProvider(Protocol):
    """Client for one host of repositories.

    id: the provider's name in links (`gh`).
    check: raises BadSpec or BadRef if `spec` (percent-encoded as in the link) cannot be a spec of this provider; sends no request.
        Returns the repository's address for people, which also names the repository in quotas: one spelling per repository. The address
        is in lower case if the host ignores the case of names.
    canonical: returns the spec, decoded, in its canonical spelling, which the operator's rules are compared with; sends no request.
        Raises like check.
    detect: returns the repository and path that the address of one of the host's pages refers to, None for any other address; sends no
        request. check may refuse the returned spec.
    resolve: returns the spec's repository at one immutable ref. Raises RepositoryNotFound (RepositoryGone, RepositoryBlocked),
        RepositoryEmpty, RefNotFound, RepositoryTooLarge, ForbiddenAddress, BadAddress, HostLimited (HostBusy), HostUnreachable.
    on_branch_or_tag: asks the host again whether the commit is on a branch or a tag of the repository itself. Returns False also if
        the host cannot tell. Raises HostLimited, HostUnreachable. Slow: for launches that would start a build.
    tree: returns the listing at that ref, or None if listing it is expensive.
    read: returns a file's content from that tree, at most 1 MB (RepositoryTooLarge).
    tags: returns a digest of the repository's tags and of the commits that they name, empty if no tags are visible. A build that can
        read `.git` depends on them.
    """

    id: str
    display: Display

    def check(self, spec: str) -> str: ...
    def canonical(self, spec: str) -> str: ...
    def detect(self, address: str) -> PastedUrl | None: ...
    def resolve(self, spec: str) -> Resolved: ...
    def on_branch_or_tag(self, repository: Repository) -> bool: ...
    def tree(self, repository: Repository) -> Tree | None: ...
    def read(self, repository: Repository, entry: Entry) -> bytes: ...
    def tags(self, repository: Repository) -> str: ...
