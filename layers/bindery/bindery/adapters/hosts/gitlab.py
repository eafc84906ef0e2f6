"""Provider `gl`: projects on GitLab, or on a server of one's own that runs it."""

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from urllib.parse import quote

from pydantic import BaseModel, RootModel, ValidationError

from bindery.adapters.git.refs import (
    COMMIT,
    OFTEN_MISSING,
    check_length,
    check_ref,
    decoded,
    or_head,
    shown,
)
from bindery.adapters.hosts.by_git import FilesByGit
from bindery.adapters.hosts.page_urls import pasted, shown_page
from bindery.adapters.hosts.private_repositories import Seen, privacy
from bindery.adapters.hosts.ref_cache import KEPT, Facts
from bindery.adapters.hosts.rest_api import HostApi
from bindery.adapters.http.address_rules import without_git
from bindery.adapters.http.client import Answer, GuardedClient
from bindery.domain.errors import (
    BadSpec,
    HostUnreachable,
    RefNotFound,
    RepositoryEmpty,
    RepositoryNotFound,
    RepositoryTooLarge,
)
from bindery.domain.repository import Repository
from bindery.domain.urls.pasted import PastedUrl, Place
from bindery.ports.clock import Clock
from bindery.ports.repository_provider import Display, Resolved
from bindery.ports.table import Table

NAME: Final = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9_.][A-Za-z0-9_.-]{0,254}"
NAMESPACE: Final = re.compile(rf"{NAME}(?:/{NAME}){{1,21}}")
LONGEST: Final = 700
"""Together with a ref it has to fit into a key of the table."""
NOBODYS: Final = frozenset({"-", "admin", "dashboard", "explore", "groups", "help", "projects", "search", "users"})
"""First steps of pages that are no group's."""
BRANCH_OR_TAG: Final = {"branch", "tag"}
NO_PROJECT: Final = "Project Not Found"


class _Commit(BaseModel):
    id: str


class _Ref(BaseModel):
    type: str


class _Refs(RootModel[list[_Ref]]):
    """As docs.gitlab.com/api/commits/#get-references-a-commit-is-pushed-to has it."""


class _About(BaseModel):
    """What strangers are not told has the value of what strangers see: nothing else is shown to them."""

    path_with_namespace: str
    visibility: str = "public"
    repository_access_level: str = "enabled"


class _Emptiness(BaseModel):
    empty_repo: bool = False


class _Said(BaseModel):
    message: str


class GitLabProvider(FilesByGit):
    """Specs: `namespace%2Fproject/ref`, the groups of a namespace as deep as they are; a commit may be shortened.

    url: the server's, without a trailing slash, for pages, clones and its API. token: optional, may see what is not public.
    private: projects that visitors may launch although only the token sees them.
    table: keeps each ref's last answer. What a commit holds is asked of git: the API lists a hundred files at a time.
    """

    id = "gl"
    display = Display(
        name="GitLab",
        example="gitlab-org%2Fgitlab-foss/HEAD",
        regex=r"[^/]+/.+",
        detect=r"^(https?://gitlab\.com/)?(?<repo>[^/:]+/[^:?#]+?)(\.git)?(/-/(tree|blob)/(?<ref>[^/?#]+)(/(?<filepath>[^?#]+))?)?/?([?#].*)?$",
        repo_label="GitLab.com repository or URL",
        repo_placeholder="group/project or https://gitlab.com/group/project",
        url_encode=True,
        ref_default="HEAD",
        grammar="group%2F...%2Fproject/ref",
        refs="HEAD (also used for a missing master or main), a branch, a tag, or a commit id, short or full",
        kept=KEPT,
    )

    def __init__(
        self,
        client: GuardedClient,
        table: Table,
        clock: Clock,
        *,
        url: str = "https://gitlab.com",
        token: str = "",
        private: Sequence[str] = (),
    ) -> None:
        super().__init__(client, clock)
        self._url = url.rstrip("/")
        self._place = Place.of(self._url)
        headers = {"Accept": "application/json"}
        self._api = HostApi(client, clock, f"{self._url}/api/v4", token, headers=headers, absent=_absent)
        self._privacy = privacy(
            self._api,
            table,
            clock,
            provider=self.id,
            url=self._url,
            allowed=private,
            about=_about,
            read=self._read_about,
        )

    def check(self, spec: str) -> str:
        namespace, _ = _parts(spec)
        return f"{self._url}/{_folded(namespace)}"

    def canonical(self, spec: str) -> str:
        namespace, ref = _parts(spec)
        return f"{_folded(namespace)}/{ref}"

    def detect(self, address: str) -> PastedUrl | None:
        place = Place.of(address)
        steps = place.below(self._place) if place else None
        if steps is None or len(steps) < 2 or steps[0] in NOBODYS:
            return None
        for count in range(2, len(steps)):
            if shown := shown_page(steps[count:]):
                return pasted(self, "/".join(steps[:count]), shown)
        return pasted(self, without_git("/".join(steps)))

    def resolve(self, spec: str) -> Resolved:
        namespace, ref = _parts(spec)
        try:
            known, note = or_head(namespace, ref, lambda each: self._commit(namespace, each))
        except RefNotFound:
            if ref in {"HEAD", *OFTEN_MISSING}:  # HEAD itself is missing
                self._check_empty(namespace)
            raise
        commit = known["commit"]
        page = f"{self._url}/{namespace}"
        found = Repository(
            provider=self.id,
            spec=spec,
            ref=commit,
            resolved_spec=f"{quote(namespace, safe='')}/{commit}",
            clone_url=f"{page}.git",
            canonical_url=self.check(spec),
            repo_url=page,
            ref_url=f"{page}/-/tree/{commit}",
            private="private" in known,
            on_branch_or_tag=ref == "HEAD" or bool(note),
        )
        return Resolved(found, note)

    def on_branch_or_tag(self, repository: Repository) -> bool:
        """Return True if the history of a branch or a tag holds the commit. No history holds a merge request's before the merge."""
        namespace, _ = _parts(repository.spec)
        path = f"{_about(namespace)}/repository/commits/{repository.ref}/refs?type=all&per_page=1"
        try:
            body = self._api.get(path, repository.repo_url).body
        except (RepositoryNotFound, RepositoryTooLarge):
            return False
        return body is not None and any(ref.type in BRANCH_OR_TAG for ref in self._api.read(_Refs, body).root)

    def authorization(self) -> str:
        return self._api.basic("oauth2")

    def _check_empty(self, namespace: str) -> None:
        """Raise RepositoryEmpty for a project without commits (docs.gitlab.com/api/projects, `empty_repo`)."""
        page = f"{self._url}/{namespace}"
        with suppress(RepositoryNotFound):
            body = self._api.get(_about(namespace), page).body
            if body is not None and self._api.read(_Emptiness, body).empty_repo:
                raise RepositoryEmpty(url=page)

    def _commit(self, namespace: str, ref: str) -> Facts | None:
        """The commit and what else is known, None if the host knows no such ref."""
        asked = f"{_about(namespace)}/repository/commits/{quote(ref, safe='')}?stats=false"
        return self._privacy.facts(namespace, ref, asked, self._read_commit)

    def _read_about(self, body: bytes) -> Seen:
        """Of its code, which may be for members alone although the project is for everybody."""
        about = self._api.read(_About, body)
        for_everybody = about.visibility == "public" and about.repository_access_level != "private"
        return Seen(about.path_with_namespace, not for_everybody)

    def _read_commit(self, body: bytes) -> dict[str, str]:
        found = self._api.read(_Commit, body)
        if not COMMIT.fullmatch(found.id):
            raise HostUnreachable(host=self._api.host, why="its answer names no commit")
        return {"commit": found.id}


def _about(namespace: str) -> str:
    """Where the API tells of a project."""
    return f"/projects/{quote(namespace, safe='')}"


def _absent(answer: Answer) -> bool:
    """GitLab answers 404 for both, and says which of the two is missing. What it says of a private project is that there is none."""
    if answer.status != 404:
        return False
    try:
        return NO_PROJECT not in _Said.model_validate_json(answer.body).message
    except ValidationError:
        return False


def _folded(namespace: str) -> str:
    """The one spelling of a project whose host reads names in any case."""
    return without_git(namespace).lower()


def _parts(spec: str) -> tuple[str, str]:
    """`group/project` and the ref."""
    check_length(spec)
    quoted, slash, ref = spec.partition("/")
    namespace = decoded(quoted, spec).strip("/").removesuffix(".git")
    if slash and "/" not in namespace and NAMESPACE.fullmatch(f"{namespace}/x"):
        why = "it is not <namespace>%2F<project>/<ref>: the slashes of a project's name are written %2F"
        raise BadSpec(spec=shown(spec), why=why)
    if not slash or len(namespace) > LONGEST or not NAMESPACE.fullmatch(namespace):
        raise BadSpec(spec=shown(spec), why="it is not <namespace>%2F<project>/<ref>")
    return namespace, check_ref(decoded(ref, spec))
