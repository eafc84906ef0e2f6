"""Provider `gh`: repositories on GitHub or on a server with its API."""

import re
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from pydantic import BaseModel

from bindery.adapters.git.refs import (
    COMMIT,
    check_length,
    check_ref,
    decoded,
    or_head,
    shown,
)
from bindery.adapters.hosts.api_host import ApiHost, folded
from bindery.adapters.hosts.github.api import OWNER, github_api, github_token
from bindery.adapters.hosts.host_parts import HostParts
from bindery.adapters.hosts.page_urls import Shown, pasted, shown_page
from bindery.adapters.hosts.private_repositories import Privacy, Seen
from bindery.adapters.hosts.ref_cache import KEPT
from bindery.adapters.hosts.rest_api import Token
from bindery.adapters.http.address_rules import without_git
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import BadSpec, HostUnreachable, RefNotFound, RepositoryNotFound
from bindery.domain.repository import Entry, Repository, Tree
from bindery.domain.urls.pasted import PastedUrl
from bindery.ports.clock import Clock
from bindery.ports.repository_provider import Display, RepositoryProvider, Resolved
from bindery.ports.table import Table

if TYPE_CHECKING:
    from bindery.adapters.hosts.github.files import GitHubFiles

NAME: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,100}")
RESERVED: Final = frozenset(
    {
        "apps",
        "collections",
        "enterprise",
        "explore",
        "features",
        "login",
        "marketplace",
        "orgs",
        "search",
        "settings",
        "topics",
    }
)
"""First path segments of pages that belong to no owner."""
REMEMBERED: Final = 1000


class _TreeName(BaseModel):
    sha: str


class _CommitFacts(BaseModel):
    tree: _TreeName


class _CommitAnswer(BaseModel):
    sha: str
    commit: _CommitFacts


class _About(BaseModel):
    full_name: str
    private: bool


class _CommitRecord(NamedTuple):
    commit: str
    tree: str
    private: bool


class GitHubProvider(ApiHost):
    """Provider for GitHub repositories. Specs: `owner/repository/ref`.

    The ref may contain slashes, and a commit id may be shortened.
    api_url, url: addresses of the API and of the pages, without a trailing slash. token: optional, raises the host's rate limit. private:
    repositories that visitors may launch although only the token can read them.
    table: stores the last response for each ref with its ETag: the host does not count unchanged responses.
    """

    id = "gh"
    display = Display(
        name="GitHub",
        example="jupyterlab/jupyterlab-demo/HEAD",
        regex=r"[^/]+/[^/]+/.+",
        detect=r"^(https?://github\.com/)?(?<repo>[^/:]+/[^/?#]+?)(\.git)?(/(tree|blob)/(?<ref>[^/?#]+)(/(?<filepath>[^?#]+))?)?/?([?#].*)?$",
        repo_label="GitHub repository name or URL",
        repo_placeholder="owner/repository or https://github.com/owner/repository",
        url_encode=False,
        ref_default="HEAD",
        grammar="owner/repository/ref",
        refs="HEAD (also used for a missing master or main), a branch, a tag, or a commit id, short or full",
        kept=KEPT,
    )

    def __init__(
        self,
        client: GuardedClient,
        table: Table,
        clock: Clock,
        *,
        api_url: str = "https://api.github.com",
        url: str = "https://github.com",
        token: str | Token = "",
        private: Sequence[str] = (),
    ) -> None:
        super().__init__(client, table, clock, api=github_api(client, clock, api_url, token), url=url)
        self._privacy = Privacy(
            self._api, self._refs, self.id, self._url, private, about="/repos/{}".format, read=self._read_about
        )
        self._trees: dict[str, str] = {}

    @classmethod
    def configured(cls, parts: HostParts) -> RepositoryProvider:
        settings = parts.settings
        return cls(
            parts.client,
            parts.table,
            parts.clock,
            api_url=settings.github_api_url,
            url=settings.github_url,
            token=github_token(parts),
            private=settings.private_repositories,
        )

    def check(self, spec: str) -> str:
        repository, _ = _parts(spec)
        return f"{self._url}/{folded(repository)}"

    def canonical(self, spec: str) -> str:
        repository, ref = _parts(spec)
        return f"{folded(repository)}/{ref}"

    def detect(self, address: str) -> PastedUrl | None:
        steps = self._steps(address)
        if steps is None or len(steps) < 2 or steps[0] in RESERVED:
            return None
        return pasted(self, f"{steps[0]}/{without_git(steps[1])}", _page_of(steps[2:]))

    def resolve(self, spec: str) -> Resolved:
        repository, ref = _parts(spec)
        record, note = or_head(repository, ref, lambda each: self._commit(repository, each))
        commit = record.commit
        page = f"{self._url}/{repository}"
        result = Repository(
            provider=self.id,
            spec=spec,
            ref=commit,
            resolved_spec=f"{repository}/{commit}",
            clone_url=page,
            canonical_url=self.check(spec),
            repo_url=page,
            ref_url=f"{page}/tree/{commit}",
            private=record.private,
            on_branch_or_tag=ref == "HEAD" or bool(note),
        )
        return Resolved(result, note)

    def on_branch_or_tag(self, repository: Repository) -> bool:
        from bindery.adapters.hosts.github.refs import GitHubRefs

        name, ref = _parts(repository.spec)
        refs = GitHubRefs(self._api, name, repository.repo_url)
        if refs.is_head(repository.ref) or (not COMMIT.fullmatch(ref) and refs.is_tag(ref, repository.ref)):
            return True
        try:
            default = self._commit(name, "HEAD")
        except RepositoryNotFound:
            return False
        return default is not None and refs.is_in_history(repository.ref, default.commit)

    def authorization(self) -> str:
        return self._api.basic("x-access-token")

    def tree(self, repository: Repository) -> Tree | None:
        name, _ = _parts(repository.resolved_spec)
        root = self._trees.get(repository.ref)
        if root is None:
            record = self._commit(name, repository.ref)
            root = record and record.tree
        if root is None:
            raise RefNotFound(spec=repository.spec, ref=repository.ref)
        return self._files.tree(name, root, repository)

    def read(self, repository: Repository, entry: Entry) -> bytes:
        name, _ = _parts(repository.resolved_spec)
        return self._files.read(name, repository, entry)

    @cached_property
    def _files(self) -> "GitHubFiles":
        """Return the reader of files. It is imported on first use: most requests of visitors need no files."""
        from bindery.adapters.hosts.github.files import GitHubFiles

        return GitHubFiles(self._api)

    def _commit(self, repository: str, ref: str) -> _CommitRecord | None:
        """Return the commit, or None if the host has no such ref."""
        path = f"/repos/{repository}/commits/{quote(ref, safe='/')}?per_page=1"
        facts = self._privacy.facts(repository, ref, path, self._read_commit)
        return self._remember(facts["commit"], facts["tree"], private="private" in facts) if facts else None

    def _read_about(self, body: bytes) -> Seen:
        repository = self._api.read(_About, body)
        return Seen(repository.full_name, repository.private)

    def _read_commit(self, body: bytes) -> dict[str, str]:
        answer = self._api.read(_CommitAnswer, body)
        if not COMMIT.fullmatch(answer.sha) or not COMMIT.fullmatch(answer.commit.tree.sha):
            raise HostUnreachable(host=self._api.host, why="its answer names no commit")
        return {"commit": answer.sha, "tree": answer.commit.tree.sha}

    def _remember(self, commit: str, tree: str, *, private: bool) -> _CommitRecord:
        if len(self._trees) >= REMEMBERED:
            self._trees.clear()
        self._trees[commit] = tree
        return _CommitRecord(commit, tree, private)


def _page_of(steps: tuple[str, ...]) -> Shown | None:
    if len(steps) > 1 and steps[0] == "pull" and steps[1].isdigit():
        return Shown(f"pull/{steps[1]}/head")
    return shown_page(steps)


def _parts(spec: str) -> tuple[str, str]:
    """Return `owner/repository` and the ref. Raises BadSpec, BadRef."""
    check_length(spec)
    owner, _, rest = spec.partition("/")
    name, slash, ref = rest.partition("/")
    name = decoded(name, spec).removesuffix(".git")
    owner = decoded(owner, spec)
    if not OWNER.fullmatch(owner) or not NAME.fullmatch(name):
        raise BadSpec(spec=shown(spec), why="it is not <owner>/<repository>/<ref>")
    if not slash:
        raise BadSpec(spec=shown(spec), why=f"it names no ref: did you mean {owner}/{name}/HEAD?")
    return f"{owner}/{name}", check_ref(decoded(ref, spec))
