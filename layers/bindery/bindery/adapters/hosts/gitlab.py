"""Provider `gl`: projects on GitLab.com or on another GitLab server."""

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
from bindery.adapters.hosts.api_host import ApiHost, folded
from bindery.adapters.hosts.host_parts import HostParts
from bindery.adapters.hosts.page_urls import pasted, shown_page
from bindery.adapters.hosts.private_repositories import Privacy, Seen
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
from bindery.domain.urls.pasted import PastedUrl
from bindery.ports.clock import Clock
from bindery.ports.repository_provider import Display, RepositoryProvider, Resolved
from bindery.ports.table import Table

NAME: Final = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9_.][A-Za-z0-9_.-]{0,254}"
NAMESPACE: Final = re.compile(rf"{NAME}(?:/{NAME}){{1,21}}")
LONGEST: Final = 700
"""Maximum length of a namespace: together with a ref it has to fit into a key of the table."""
RESERVED: Final = frozenset({"-", "admin", "dashboard", "explore", "groups", "help", "projects", "search", "users"})
"""First path segments of pages that belong to no group."""
BRANCH_OR_TAG: Final = {"branch", "tag"}
NO_PROJECT: Final = "Project Not Found"


class _Commit(BaseModel):
    id: str


class _Ref(BaseModel):
    type: str


class _Refs(RootModel[list[_Ref]]):
    """List of refs that contain a commit: docs.gitlab.com/api/commits/#get-references-a-commit-is-pushed-to."""


class _About(BaseModel):
    """Description of a project.

    GitLab leaves fields out of responses to anonymous requests. The defaults are the values of public projects: anonymous requests see
    only public projects.
    """

    path_with_namespace: str
    visibility: str = "public"
    repository_access_level: str = "enabled"


class _Emptiness(BaseModel):
    empty_repo: bool = False


class _Message(BaseModel):
    message: str


class GitLabProvider(ApiHost):
    """Provider for GitLab projects. Specs: `namespace%2Fproject/ref`; groups may be nested, a commit id may be shortened.

    url: address of the server without a trailing slash, for pages, clones and its API.
    token: optional, may read projects that are not public.
    private: projects that visitors may launch although only the token can read them.
    table: stores the last response for each ref. The files of a commit are read with git: the API lists a hundred files at a time.
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
        headers = {"Accept": "application/json"}
        api = HostApi(client, clock, f"{url.rstrip('/')}/api/v4", token, headers=headers, absent=_absent)
        super().__init__(client, table, clock, api=api, url=url)
        self._privacy = Privacy(self._api, self._refs, self.id, self._url, private, about=_about, read=self._read_about)

    @classmethod
    def configured(cls, parts: HostParts) -> RepositoryProvider:
        settings = parts.settings
        return cls(
            parts.client,
            parts.table,
            parts.clock,
            url=settings.gitlab_url,
            token=settings.gitlab_token.get_secret_value(),
            private=settings.private_repositories,
        )

    def check(self, spec: str) -> str:
        namespace, _ = _parts(spec)
        return f"{self._url}/{folded(namespace)}"

    def canonical(self, spec: str) -> str:
        namespace, ref = _parts(spec)
        return f"{folded(namespace)}/{ref}"

    def detect(self, address: str) -> PastedUrl | None:
        steps = self._steps(address)
        if steps is None or len(steps) < 2 or steps[0] in RESERVED:
            return None
        for count in range(2, len(steps)):
            if page := shown_page(steps[count:]):
                return pasted(self, "/".join(steps[:count]), page)
        return pasted(self, without_git("/".join(steps)))

    def resolve(self, spec: str) -> Resolved:
        namespace, ref = _parts(spec)
        try:
            facts, note = or_head(namespace, ref, lambda each: self._commit(namespace, each))
        except RefNotFound:
            if ref in {"HEAD", *OFTEN_MISSING}:  # HEAD itself is missing
                self._check_empty(namespace)
            raise
        commit = facts["commit"]
        page = f"{self._url}/{namespace}"
        repository = Repository(
            provider=self.id,
            spec=spec,
            ref=commit,
            resolved_spec=f"{quote(namespace, safe='')}/{commit}",
            clone_url=f"{page}.git",
            canonical_url=self.check(spec),
            repo_url=page,
            ref_url=f"{page}/-/tree/{commit}",
            private="private" in facts,
            on_branch_or_tag=ref == "HEAD" or bool(note),
        )
        return Resolved(repository, note)

    def on_branch_or_tag(self, repository: Repository) -> bool:
        """Return True if the history of a branch or a tag contains the commit.

        A commit of a merge request is in no such history before the merge.
        """
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
        """Return the commit and further facts about it, or None if the host has no such ref."""
        path = f"{_about(namespace)}/repository/commits/{quote(ref, safe='')}?stats=false"
        return self._privacy.facts(namespace, ref, path, self._read_commit)

    def _read_about(self, body: bytes) -> Seen:
        """Read the visibility of a project's code, which may be for members only although the project is public."""
        about = self._api.read(_About, body)
        public = about.visibility == "public" and about.repository_access_level != "private"
        return Seen(about.path_with_namespace, not public)

    def _read_commit(self, body: bytes) -> dict[str, str]:
        commit = self._api.read(_Commit, body)
        if not COMMIT.fullmatch(commit.id):
            raise HostUnreachable(host=self._api.host, why="its answer names no commit")
        return {"commit": commit.id}


def _about(namespace: str) -> str:
    """Return the API path of a project."""
    return f"/projects/{quote(namespace, safe='')}"


def _absent(answer: Answer) -> bool:
    """Return True if only the object is missing.

    GitLab sends status 404 for a missing object and for a missing project; the message names which of the two is missing. For a private
    project the message says that the project does not exist.
    """
    if answer.status != 404:
        return False
    try:
        return NO_PROJECT not in _Message.model_validate_json(answer.body).message
    except ValidationError:
        return False


def _parts(spec: str) -> tuple[str, str]:
    """Return `group/project` and the ref. Raises BadSpec, BadRef."""
    check_length(spec)
    quoted, slash, ref = spec.partition("/")
    namespace = decoded(quoted, spec).strip("/").removesuffix(".git")
    if slash and "/" not in namespace and NAMESPACE.fullmatch(f"{namespace}/x"):
        why = "it is not <namespace>%2F<project>/<ref>: the slashes of a project's name are written %2F"
        raise BadSpec(spec=shown(spec), why=why)
    if not slash or len(namespace) > LONGEST or not NAMESPACE.fullmatch(namespace):
        raise BadSpec(spec=shown(spec), why="it is not <namespace>%2F<project>/<ref>")
    return namespace, check_ref(decoded(ref, spec))
