"""Provider `figshare`: articles on Figshare, including those of institutions.

API: docs.figshare.com (articles, their versions and files).
"""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel, RootModel

from bindery.adapters.git.refs import shown
from bindery.adapters.hosts.host_parts import HostParts
from bindery.adapters.hosts.page_urls import pasted
from bindery.adapters.hosts.records.answer_cache import KEPT
from bindery.adapters.hosts.records.base import Listing, RecordFile, RecordHost
from bindery.adapters.hosts.records.dois import Dois, doi_in, doi_page, plain
from bindery.adapters.hosts.records.rest_api import RecordApi
from bindery.adapters.http.address_rules import parsed
from bindery.adapters.http.budget import TimeLimit
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import BadSpec, RepositoryTooLarge, VersionNotFound
from bindery.domain.repository import Repository
from bindery.domain.urls.pasted import PastedUrl
from bindery.ports.clock import Clock
from bindery.ports.repository_provider import Display, RepositoryProvider
from bindery.ports.table import Table

OWN_DOI: Final = re.compile(r"10\.6084/m9\.figshare\.([0-9]{1,15})", re.IGNORECASE)
VERSIONED: Final = re.compile(r"(.+)\.v([0-9]{1,6})", re.IGNORECASE)
PAGE_SIZE, SHORTEST_PAGE, MOST_PAGES = 100, 10, 1000
"""The host may limit a page to fewer files than requested; its default is ten."""
PAGE: Final = re.compile(r"/articles/(?:[^/]+/){0,2}?([0-9]{1,15})(?:/([0-9]{1,6}))?/?")
"""Path of an article. Its kind and its title may precede the number."""


class _Version(BaseModel):
    version: int


class _Versions(RootModel[list[_Version]]):
    """List of the versions of an article."""


class _Article(BaseModel):
    doi: str = ""


class _File(BaseModel):
    name: str
    size: int
    download_url: str
    is_link_only: bool = False
    computed_md5: str = ""
    supplied_md5: str = ""


class _Files(RootModel[list[_File]]):
    """List of files of a version: one page."""


class FigshareProvider(RecordHost):
    """Provider for Figshare articles. Specs: an article's DOI, or its page.

    A DOI with `.v<number>` means one version of the article; without it, the newest version.
    api_url: without a trailing slash. hosts: host names of institutions that have article pages on domains of their own.
    """

    id = "figshare"
    display = Display(
        name="Figshare DOI",
        example="10.6084/m9.figshare.9782777.v1",
        regex=r"(https?:\/\/doi\.org\/|doi:)?10\.\d+\/.+",
        detect=r"^(https?://(dx\.)?doi\.org/|doi:)?(?<repo>10\.\d+/m9\.figshare\.\d+(\.v\d+)?)/?$",
        repo_label="Figshare DOI",
        repo_placeholder="example: 10.6084/m9.figshare.9782777.v1",
        url_encode=False,
        ref_default=None,
        grammar="10.6084/m9.figshare.<number>[.v<version>]",
        refs="none: the version in the DOI, or the newest",
        kept=KEPT,
    )

    def __init__(
        self,
        client: GuardedClient,
        table: Table,
        clock: Clock,
        dois: Dois,
        *,
        api_url: str = "https://api.figshare.com/v2",
        hosts: Sequence[str] = (),
    ) -> None:
        super().__init__(table, clock, api_url)
        self._api = RecordApi(client, clock)
        self._dois = dois
        self._url = api_url.rstrip("/")
        self._hosts = ("figshare.com", *(host.lower() for host in hosts))

    @classmethod
    def configured(cls, parts: HostParts) -> RepositoryProvider:
        settings, dois = parts.settings, Dois.configured(parts)
        api_url, hosts = settings.figshare_api_url, settings.figshare_hosts
        return cls(parts.client, parts.table, parts.clock, dois, api_url=api_url, hosts=hosts)

    def check(self, spec: str) -> str:
        return doi_page(_doi(spec))

    def canonical(self, spec: str) -> str:
        return _doi(spec).lower()

    def detect(self, address: str) -> PastedUrl | None:
        return pasted(self, _doi(address)) if _page(address) else super().detect(address)

    def found(self, spec: str) -> Repository:
        doi = _doi(spec)
        match = VERSIONED.fullmatch(doi)
        base, requested = (match[1], int(match[2])) if match else (doi, None)
        article = self._article(base)
        version = self._version(article, requested, doi)
        resolved = f"{base}.v{version}"
        return Repository(
            provider=self.id,
            spec=spec,
            ref=f"{article}.v{version}",
            resolved_spec=resolved,
            clone_url=f"{self._url}/articles/{article}/versions/{version}",
            repo_url=doi_page(doi),
            ref_url=f"https://doi.org/{resolved}",
        )

    def files(self, repository: Repository, within: TimeLimit | None = None) -> Listing:
        files = self._all_files(repository, within)
        notes = tuple(f"{shown(each.name)} is kept elsewhere and missing here." for each in files if each.is_link_only)
        return Listing([_listed(each) for each in files if not each.is_link_only], notes)

    def spec_of(self, doi: str, address: str) -> str | None:
        host = parsed(address).host
        own = OWN_DOI.fullmatch(VERSIONED.sub(r"\1", doi))  # only Figshare registers these, on any host
        is_own_page = own or any(host == name or host.endswith(f".{name}") for name in self._hosts)
        return doi if is_own_page and PAGE.fullmatch(urlsplit(address).path) else None

    def _all_files(self, repository: Repository, within: TimeLimit | None) -> list[_File]:
        """Return all files, page by page: the article itself lists ten at most. Raises RepositoryTooLarge."""
        files: list[_File] = []
        for page in range(1, MOST_PAGES + 1):
            url = f"{repository.clone_url}/files?page={page}&page_size={PAGE_SIZE}"
            page_files = self._api.get(_Files, url, repository.repo_url, within).root
            files += page_files
            if len(page_files) < SHORTEST_PAGE:
                return files
        raise RepositoryTooLarge(url=repository.repo_url, limit=f"{MOST_PAGES} pages of files")

    def _article(self, doi: str) -> str:
        """Return the article's number.

        It is in the DOI, or in the page address that the DOI is registered with, if the article has this DOI. Raises BadSpec.
        """
        if match := OWN_DOI.fullmatch(doi):
            return match[1]
        target = self._dois.target(doi)
        page = PAGE.fullmatch(urlsplit(target).path)
        if page:
            article = self._api.get(_Article, f"{self._url}/articles/{page[1]}", doi_page(doi))
            if VERSIONED.sub(r"\1", article.doi.lower()) == doi.lower():
                return page[1]
        raise BadSpec(spec=shown(doi), why=f"it leads to {shown(target)}, which is no article of Figshare's")

    def _version(self, article: str, requested: int | None, doi: str) -> int:
        versions = self._api.get(_Versions, f"{self._url}/articles/{article}/versions", doi_page(doi)).root
        numbers = [each.version for each in versions if requested in {None, each.version}]
        if not numbers:
            raise VersionNotFound(spec=doi, ref=f"v{requested or 1}")
        return max(numbers)


def _listed(file: _File) -> RecordFile:
    md5 = file.computed_md5 or file.supplied_md5
    return RecordFile(file.name, file.download_url, file.size, f"md5:{md5}" if md5 else "")


def _doi(spec: str) -> str:
    text = plain(spec)
    doi = doi_in(text)
    if doi is None and (page := _page(text)):
        doi = f"10.6084/m9.figshare.{page[1]}" + (f".v{page[2]}" if page[2] else "")
    if doi is None:
        raise BadSpec(spec=shown(spec), why="it is not a DOI such as 10.6084/m9.figshare.9782777.v1")
    return doi


def _page(text: str) -> re.Match[str] | None:
    """Return the match of an article's page address, as browsers show it, or None."""
    match = re.fullmatch(r"https?://(?:www\.)?figshare\.com(/[^?#]*)(?:[?#].*)?", text)
    return PAGE.fullmatch(match[1]) if match else None
