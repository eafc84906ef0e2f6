"""Provider `gh`: repositories on GitHub, or on a server with its API."""

import re
from base64 import b64decode
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import quote

from pydantic import BaseModel, Field

from bindery.adapters.repositories.addresses import without_git
from bindery.adapters.repositories.exchange import MB
from bindery.adapters.repositories.github_api import OWNER, github_api
from bindery.adapters.repositories.guard import GuardedClient
from bindery.adapters.repositories.host_api import Token
from bindery.adapters.repositories.kept_refs import KEPT, KeptRefs
from bindery.adapters.repositories.object_ids import object_id
from bindery.adapters.repositories.pages import Shown, pasted, shown_page
from bindery.adapters.repositories.private import Privacy, Seen
from bindery.adapters.repositories.refs import (
    COMMIT,
    check_length,
    check_ref,
    decoded,
    or_head,
    shown,
)
from bindery.domain.errors import BadSpec, HostUnreachable, RefNotFound, RepositoryTooLarge
from bindery.domain.pasted import Pasted, Place
from bindery.domain.repository import Entry, Repository, Tree
from bindery.ports.clock import Clock
from bindery.ports.repository_provider import Display, Resolved
from bindery.ports.table import Table

NAME: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,100}")
NOBODYS: Final = frozenset(
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
"""First steps of pages that are no owner's."""
LARGEST_FILE: Final = MB
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


class _TreeEntry(BaseModel):
    path: str
    mode: str = Field(pattern="^[0-7]{5,6}$")
    type: str
    sha: str = Field(pattern="^[0-9a-f]{40}$")


class _TreeAnswer(BaseModel):
    tree: list[_TreeEntry]
    truncated: bool = False


class _BlobAnswer(BaseModel):
    size: int
    content: str
    encoding: str


class _Known(NamedTuple):
    commit: str
    tree: str
    private: bool


class GitHubProvider:
    """Specs: `owner/repository/ref`; the ref may hold slashes, and a commit may be shortened.

    api_url, url: addresses of the API and of the pages, without a trailing slash. token: optional, raises the host's rate limit.
    private: repositories that visitors may launch although only the token sees them.
    table: keeps each ref's last answer with its ETag, since the host does not count what has not changed.
    """

    id = "gh"
    display = Display(
        name="GitHub",
        example="jupyterlab/jupyterlab-demo/HEAD",
        regex=r"[^/]+/[^/]+/.+",
        detect=r"^(https?://github\.com/)?(?<repo>[^/:]+/[^/]+?)(\.git)?(/(tree|blob)/(?<ref>[^/]+)(/(?<filepath>.+))?)?/?$",
        repo_label="GitHub repository name or URL",
        repo_placeholder="owner/repository or https://github.com/owner/repository",
        url_encode=False,
        ref_default="HEAD",
        grammar="owner/repository/ref",
        refs="HEAD (which stands in for a missing master or main), a branch, a tag, a commit, short or full",
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
        self._api = github_api(client, clock, api_url, token)
        self._privacy = Privacy(
            self._api,
            KeptRefs(table, clock, f"{self.id}#{self._api.host}"),
            self.id,
            private,
            about=lambda name: f"/repos/{name}",
            page=lambda name: f"{self._url}/{name}",
            read=self._read_about,
        )
        self._url = url.rstrip("/")
        self._place = Place.of(self._url)
        self._trees: dict[str, str] = {}

    def check(self, spec: str) -> str:
        repository, _ = _parts(spec)
        return f"{self._url}/{_folded(repository)}"

    def canonical(self, spec: str) -> str:
        repository, ref = _parts(spec)
        return f"{_folded(repository)}/{ref}"

    def detect(self, address: str) -> Pasted | None:
        place = Place.of(address)
        steps = place.below(self._place) if place else None
        if steps is None or len(steps) < 2 or steps[0] in NOBODYS:
            return None
        return pasted(self, f"{steps[0]}/{without_git(steps[1])}", _shown(steps[2:]))

    def resolve(self, spec: str) -> Resolved:
        repository, ref = _parts(spec)
        known, note = or_head(repository, ref, lambda each: self._commit(repository, each))
        commit = known.commit
        page = f"{self._url}/{repository}"
        found = Repository(
            provider=self.id,
            spec=spec,
            ref=commit,
            resolved_spec=f"{repository}/{commit}",
            clone_url=page,
            repo_url=page,
            ref_url=f"{page}/tree/{commit}",
            private=known.private,
        )
        return Resolved(found, note)

    def authorization(self) -> str:
        return self._api.basic("x-access-token")

    def tree(self, repository: Repository) -> Tree | None:
        name, _ = _parts(repository.resolved_spec)
        root = self._trees.get(repository.ref)
        if root is None:
            known = self._commit(name, repository.ref)
            root = known and known.tree
        if root is None:
            raise RefNotFound(spec=repository.spec, ref=repository.ref)
        try:
            body = self._api.get(f"/repos/{name}/git/trees/{root}?recursive=1", f"{self._url}/{name}").body
        except RepositoryTooLarge:
            return None
        if body is None:
            raise RefNotFound(spec=repository.spec, ref=repository.ref)
        answer = self._api.read(_TreeAnswer, body)
        if answer.truncated:
            return None
        files = (entry for entry in answer.tree if entry.type != "tree")
        return Tree(root, {entry.path: Entry(entry.path, int(entry.mode, 8), entry.sha) for entry in files})

    def read(self, repository: Repository, entry: Entry) -> bytes:
        name, _ = _parts(repository.resolved_spec)
        too_large = RepositoryTooLarge(url=f"{repository.repo_url} ({shown(entry.path)})", limit="1 MB")
        try:
            body = self._api.get(f"/repos/{name}/git/blobs/{entry.id}", repository.repo_url, max_bytes=2 * MB).body
        except RepositoryTooLarge:
            raise too_large from None
        if body is None:
            raise RefNotFound(spec=repository.spec, ref=entry.id)
        answer = self._api.read(_BlobAnswer, body)
        if answer.size > LARGEST_FILE:
            raise too_large
        try:
            content = b64decode(answer.content) if answer.encoding == "base64" else answer.content.encode()
        except ValueError:
            content = b""
        if object_id(b"blob", content).decode() != entry.id:
            raise HostUnreachable(host=self._api.host, why="it sent another file than the one asked for")
        return content

    def _commit(self, repository: str, ref: str) -> _Known | None:
        """The commit, None if the host knows no such ref."""
        asked = f"/repos/{repository}/commits/{quote(ref, safe='/')}?per_page=1"
        found = self._privacy.facts(repository, ref, asked, self._read_commit)
        return self._remember(found["commit"], found["tree"], private="private" in found) if found else None

    def _read_about(self, body: bytes) -> Seen:
        found = self._api.read(_About, body)
        return Seen(found.full_name, found.private)

    def _read_commit(self, body: bytes) -> dict[str, str]:
        found = self._api.read(_CommitAnswer, body)
        if not COMMIT.fullmatch(found.sha) or not COMMIT.fullmatch(found.commit.tree.sha):
            raise HostUnreachable(host=self._api.host, why="its answer names no commit")
        return {"commit": found.sha, "tree": found.commit.tree.sha}

    def _remember(self, commit: str, tree: str, *, private: bool) -> _Known:
        if len(self._trees) >= REMEMBERED:
            self._trees.clear()
        self._trees[commit] = tree
        return _Known(commit, tree, private)


def _shown(steps: tuple[str, ...]) -> Shown | None:
    if len(steps) > 1 and steps[0] == "pull" and steps[1].isdigit():
        return Shown(f"pull/{steps[1]}/head")
    return shown_page(steps)


def _folded(repository: str) -> str:
    """The one spelling of a repository whose host reads names in any case."""
    return without_git(repository).lower()


def _parts(spec: str) -> tuple[str, str]:
    """`owner/repository` and the ref."""
    check_length(spec)
    owner, _, rest = spec.partition("/")
    name, slash, ref = rest.partition("/")
    name = decoded(name, spec).removesuffix(".git")
    owner = decoded(owner, spec)
    if not slash or not OWNER.fullmatch(owner) or not NAME.fullmatch(name):
        raise BadSpec(spec=shown(spec), why="it is not <owner>/<repository>/<ref>")
    return f"{owner}/{name}", check_ref(decoded(ref, spec))
