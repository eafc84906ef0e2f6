"""Provider `gist`: GitHub's gists, each a small repository with one branch."""

import re
from typing import Final

from pydantic import BaseModel, Field, RootModel

from bindery.adapters.git.refs import COMMIT, check_length, check_ref, decoded, shown
from bindery.adapters.hosts.api_host import ApiHost
from bindery.adapters.hosts.github.api import OWNER, github_api, github_token
from bindery.adapters.hosts.host_parts import HostParts
from bindery.adapters.hosts.page_urls import Shown, pasted
from bindery.adapters.hosts.ref_cache import KEPT, Facts
from bindery.adapters.hosts.rest_api import ApiAnswer, Token
from bindery.adapters.http.address_rules import without_git
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import (
    BadSpec,
    HostUnreachable,
    RefNotFound,
    RepositoryNotFound,
    RepositoryTooLarge,
    SecretGist,
)
from bindery.domain.repository import Repository
from bindery.domain.urls.pasted import PastedUrl
from bindery.ports.clock import Clock
from bindery.ports.repository_provider import Display, RepositoryProvider, Resolved
from bindery.ports.table import Table

ID: Final = re.compile(r"[0-9a-f]{1,40}")
NEWEST: Final = frozenset({"HEAD", "master", "main"})
REVISIONS: Final = 100
NO_OWNER: Final = "anonymous"
"""User in the address of a gist without an owner."""


class _Owner(BaseModel):
    login: str


class _Version(BaseModel):
    version: str


class _Revisions(RootModel[list[_Version]]):
    """List of revisions, newest first: docs.github.com/en/rest/gists/gists#list-gist-commits."""


class _Gist(BaseModel):
    public: bool
    owner: _Owner | None = None
    history: list[_Version] = Field(min_length=1)


class GistProvider(ApiHost):
    """Provider for gists. Specs: `user/id` or `user/id/ref`.

    ref: HEAD (or master, or main) for the newest revision, or a revision's full id.
    api_url, url: addresses of GitHub's API and of the gists, without a trailing slash. token: optional, raises the rate limit. secret:
    true if unlisted gists may be launched. table: stores the last response for each ref.
    """

    id = "gist"
    display = Display(
        name="Gist",
        example="binder-user/0123456789abcdef0123456789abcdef/HEAD",
        regex=r"[^/]+/[^/]+(/[^/]+)?",
        detect=r"^(https?://gist\.github\.com/)?(?<repo>[^/:]+/[0-9a-f]+)(\.git)?(/(?<ref>[0-9a-f]{40}))?/?(#.*)?$",
        repo_label="Gist ID (username/gistId) or URL",
        repo_placeholder="username/gistId or https://gist.github.com/username/gistId",
        url_encode=False,
        ref_default="HEAD",
        grammar="user/id[/ref]",
        refs="HEAD, master or main (newest revision), or the full id of a revision",
        kept=KEPT,
    )

    def __init__(
        self,
        client: GuardedClient,
        table: Table,
        clock: Clock,
        *,
        api_url: str = "https://api.github.com",
        url: str = "https://gist.github.com",
        token: str | Token = "",
        secret: bool = False,
    ) -> None:
        super().__init__(client, table, clock, api=github_api(client, clock, api_url, token), url=url)
        self._secret = secret

    @classmethod
    def configured(cls, parts: HostParts) -> RepositoryProvider:
        settings = parts.settings
        return cls(
            parts.client,
            parts.table,
            parts.clock,
            api_url=settings.github_api_url,
            url=settings.gist_url,
            token=github_token(parts),
            secret=settings.secret_gists,
        )

    def check(self, spec: str) -> str:
        user, gist, _ = _parts(spec)
        return f"{self._url}/{user.lower()}/{gist}"

    def canonical(self, spec: str) -> str:
        user, gist, ref = _parts(spec)
        return f"{user.lower()}/{gist}/{ref}"

    def detect(self, address: str) -> PastedUrl | None:
        match self._steps(address):
            case (user, gist, "raw", revision, *file) if COMMIT.fullmatch(revision):
                return pasted(self, f"{user}/{gist}", Shown(revision, "/".join(file)))
            case (user, gist, "raw", *file):
                return pasted(self, f"{user}/{gist}", Shown("", "/".join(file)))
            case (user, gist, *rest):
                revision = next(iter(rest), "")
                return pasted(
                    self, f"{user}/{without_git(gist)}", Shown(revision if COMMIT.fullmatch(revision) else "")
                )
        return None

    def resolve(self, spec: str) -> Resolved:
        user, gist, ref = _parts(spec)
        page = f"{self._url}/{user}/{gist}"
        facts = self._facts(gist, ref, page) if ref in NEWEST or COMMIT.fullmatch(ref) else None
        if facts is None:
            raise RefNotFound(spec=f"{user}/{gist}", ref=ref)
        # Without this check, the permission to launch would depend on the link's user name.
        if facts["owner"].lower() != user.lower():
            raise RepositoryNotFound(url=page)
        if not facts["public"] and not self._secret:
            raise SecretGist(spec=f"{user}/{gist}")
        commit = facts["commit"]
        repository = Repository(
            provider=self.id,
            spec=spec,
            ref=commit,
            resolved_spec=f"{user}/{gist}/{commit}",
            clone_url=f"{page}.git",
            canonical_url=self.check(spec),
            repo_url=page,
            ref_url=f"{page}/{commit}",
            on_branch_or_tag=ref in NEWEST,
        )
        return Resolved(repository)

    def on_branch_or_tag(self, repository: Repository) -> bool:
        """Return True if the commit is among the gist's newest revisions.

        Forks have ids of their own, and may share the gist's objects.
        """
        _, gist, _ = _parts(repository.spec)
        try:
            body = self._api.get(f"/gists/{gist}/commits?per_page={REVISIONS}", repository.repo_url).body
        except (RepositoryNotFound, RepositoryTooLarge):
            return False
        revisions = self._api.read(_Revisions, body).root if body else []
        return any(revision.version == repository.ref for revision in revisions)

    def _facts(self, gist: str, ref: str, page: str) -> Facts | None:
        """Return the facts about the revision, or None if the host has the gist but not the revision."""
        if ref in NEWEST:
            return self._refs.facts(gist, "HEAD", lambda etag: self._newest(gist, page, etag), self._read_gist)

        def ask(_: str) -> ApiAnswer:
            try:
                return self._api.get(f"/gists/{gist}/{ref}", page)
            except RepositoryNotFound:  # the same response for a missing gist and a missing revision
                self._newest(gist, page, "")
                return ApiAnswer(None)

        return self._refs.facts(gist, ref, ask, lambda body: {**self._read_gist(body), "commit": ref})

    def _newest(self, gist: str, page: str, etag: str) -> ApiAnswer:
        return self._api.get(f"/gists/{gist}", page, etag=etag)

    def _read_gist(self, body: bytes) -> dict[str, str]:
        gist = self._api.read(_Gist, body)
        commit = gist.history[0].version
        if not COMMIT.fullmatch(commit):
            raise HostUnreachable(host=self._api.host, why="its answer names no revision")
        owner = gist.owner.login if gist.owner else NO_OWNER
        return {"commit": commit, "owner": owner, "public": "yes" if gist.public else ""}


def _parts(spec: str) -> tuple[str, str, str]:
    """Return the user, the gist's id and the ref. Raises BadSpec, BadRef."""
    check_length(spec)
    user, _, rest = spec.partition("/")
    gist, _, ref = rest.partition("/")
    user, gist = decoded(user, spec), without_git(decoded(gist, spec)).lower()
    if not OWNER.fullmatch(user) or not ID.fullmatch(gist):
        raise BadSpec(spec=shown(spec), why="it is not <user>/<gist id>, or <user>/<gist id>/<ref>")
    return user, gist, check_ref(decoded(ref, spec) or "HEAD")
