"""The repository provider port: one host of repositories."""

from dataclasses import dataclass
from typing import Protocol

from bindery.domain.repository import Entry, Repository, Tree
from bindery.domain.urls.pasted import PastedUrl


@dataclass(frozen=True)
class Display:
    """How a provider shows itself to people and to `/api/repoproviders`.

    example: what a spec looks like. regex: JavaScript-compatible, matches whole specs, ref included, as in BinderHub.
    detect: named group `repo` (and maybe `ref`, `filepath`, `urlpath`) on a pasted address.
    grammar: of a spec, for people. refs: what a ref may be. kept: what is kept of the host's answers, and for how long.
    url_encode: whether the repository part is percent-encoded in a spec. ref_default: None when a spec has no ref.
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
    """note: a sentence for the visitor, such as that HEAD was taken for a missing `master`."""

    repository: Repository
    note: str = ""


class RepositoryProvider(Protocol):
    """One host of repositories.

    id: its name in links (`gh`).
    check: raises BadSpec or BadRef unless `spec` (percent-encoding as it stood in the link) could be one of this provider's;
        asks nobody. Answers the repository's address for people, which also names it in quotas: one spelling per repository. Where hosts
        read names in any case, it is in lower case.
    canonical: the spec, decoded, in the one spelling that the operator's rules are compared with; asks nobody. Raises like check.
    detect: what an address of one of the host's pages asks for, None if it is none of them; asks nobody. The spec may be one that
        check refuses.
    resolve: the spec's repository at one immutable ref. Raises RepositoryNotFound (RepositoryGone, RepositoryBlocked),
        RepositoryEmpty, RefNotFound, RepositoryTooLarge, ForbiddenAddress, BadAddress, HostLimited (HostBusy), HostUnreachable.
    on_branch_or_tag: asks the host again whether the commit is on a branch or a tag of the repository itself. False also if the
        host cannot tell. Raises HostLimited, HostUnreachable. Slow: for launches that would start a build.
    tree: the listing at that ref, or None if it cannot be had cheaply.
    read: a file's content of that tree, at most 1 MB (RepositoryTooLarge).
    tags: a digest of the repository's tags and the commits that they name, empty if it has no tags to be seen. A build that can read
        `.git` depends on them.
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
