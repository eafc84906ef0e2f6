"""Provider `hydroshare`: resources on HydroShare.

API: www.hydroshare.org/hsapi (science metadata of a resource, its files).
"""

import re
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel

from bindery.adapters.git.refs import shown
from bindery.adapters.hosts.host_parts import HostParts
from bindery.adapters.hosts.page_urls import Shown, pasted
from bindery.adapters.hosts.records.base import Listing, RecordFile, RecordHost
from bindery.adapters.hosts.records.dois import PREFIX, plain
from bindery.adapters.hosts.records.rest_api import RecordApi
from bindery.adapters.http.address_rules import parsed, path_in
from bindery.adapters.http.budget import TimeLimit
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import BadSpec, HostUnreachable, RepositoryTooLarge, RepositoryUnusable
from bindery.domain.repository import Repository
from bindery.domain.urls.pasted import PastedUrl, Place
from bindery.ports.clock import Clock
from bindery.ports.repository_provider import Display, RepositoryProvider
from bindery.ports.table import Table

ID: Final = "[0-9a-f]{32}"
DOI: Final = re.compile(rf"10\.4211/hs\.({ID})", re.IGNORECASE)
PAGE: Final = re.compile(rf"https?://([^/?#]+)/(?:hsapi/)?resource/({ID})(?:[/?#].*)?")
CONTENTS: Final = "/data/contents/"
MOST_PAGES: Final = 1000


class _Date(BaseModel):
    type: str
    start_date: datetime


class _Elements(BaseModel):
    dates: list[_Date]


class _File(BaseModel):
    url: str
    size: int | None = None
    checksum: str | None = None


class _Files(BaseModel):
    next: str | None = None
    results: list[_File] = []


class HydroShareProvider(RecordHost):
    """Provider for HydroShare resources. Specs: a resource's id (32 hex digits), its DOI (`10.4211/hs.<id>`), or its page.

    The host keeps no versions: a launch uses the current content. A resource that changes between a launch and its build is refused.
    api_url: without a trailing slash; pages are on the same host.
    """

    id = "hydroshare"
    display = Display(
        name="Hydroshare resource",
        example="142c59757ed54de1816777828c9716e7",
        regex=r"[^\/]+.*",
        detect=r"^(https?://(www\.)?hydroshare\.org/resource/|https?://doi\.org/10\.4211/hs\.)(?<repo>[0-9a-f]{32})/?.*$",
        repo_label="Hydroshare resource id or URL",
        repo_placeholder="example: 142c59757ed54de1816777828c9716e7",
        url_encode=False,
        ref_default=None,
        grammar="<id>",
        refs="none: the present resource",
        kept="not kept, as it may change at any time",
    )

    def __init__(
        self, client: GuardedClient, table: Table, clock: Clock, *, api_url: str = "https://www.hydroshare.org/hsapi"
    ) -> None:
        super().__init__(table, clock, api_url)
        self._api = RecordApi(client, clock)
        self._url = api_url.rstrip("/")
        parts = urlsplit(self._url)
        self._site = f"{parts.scheme}://{parts.netloc}"
        self._host = parsed(api_url).host

    @classmethod
    def configured(cls, parts: HostParts) -> RepositoryProvider:
        return cls(parts.client, parts.table, parts.clock, api_url=parts.settings.hydroshare_api_url)

    def check(self, spec: str) -> str:
        return self._page(self._resource(spec))

    def canonical(self, spec: str) -> str:
        return self._resource(spec)

    def detect(self, address: str) -> PastedUrl | None:
        place = Place.of(address)
        resource = self._on_page(place.upto(len(place.steps))) if place else None
        if place is None or resource is None:
            return super().detect(address)
        _, _, path = "/".join(place.steps).partition(CONTENTS.lstrip("/"))
        return pasted(self, resource, Shown("", path))

    def found(self, spec: str) -> Repository:
        resource = self._resource(spec)
        page = self._page(resource)
        return Repository(
            provider=self.id,
            spec=spec,
            ref=f"{resource}.v{self._changed(resource)}",
            resolved_spec=resource,
            clone_url=f"{self._url}/resource/{resource}",
            repo_url=page,
            ref_url=page,
        )

    def lasts(self, canonical: str, repository: Repository) -> float:  # noqa: ARG002 # a resource may change at any time
        return 0

    def files(self, repository: Repository, within: TimeLimit | None = None) -> Listing:
        resource, _, changed = repository.ref.partition(".v")
        if self._changed(resource, within) != int(changed):
            raise RepositoryUnusable(
                why="its host has changed it since the launch began; launch again to get its present version"
            )
        files: list[RecordFile] = []
        url = f"{repository.clone_url}/files/"
        for page in range(1, MOST_PAGES + 1):
            answer = self._api.get(_Files, f"{url}?page={page}", repository.repo_url, within)
            files += [_listed(url, each) for each in answer.results]
            if not answer.next:
                return Listing(files)
        raise RepositoryTooLarge(url=repository.repo_url, limit=f"{MOST_PAGES} pages of files")

    def spec_of(self, doi: str, address: str) -> str | None:  # noqa: ARG002 # the address contains the resource's id
        return self._on_page(address)

    def _changed(self, resource: str, within: TimeLimit | None = None) -> int:
        """Return the time of the last change in UTC seconds. Raises HostUnreachable."""
        url = f"{self._url}/resource/{resource}/scimeta/elements"
        dates = self._api.get(_Elements, url, self._page(resource), within).dates
        for date in dates:
            if date.type == "modified":
                return int(date.start_date.replace(tzinfo=date.start_date.tzinfo or UTC).timestamp())
        raise HostUnreachable(host=self._host, why="its answer does not say when the resource was changed")

    def _page(self, resource: str) -> str:
        return f"{self._site}/resource/{resource}"

    def _resource(self, spec: str) -> str:
        text = plain(spec)
        bare = text[match.end() :] if (match := PREFIX.match(text)) else text
        if re.fullmatch(ID, bare):
            return bare
        if match := DOI.fullmatch(bare):
            return match[1].lower()
        if resource := self._on_page(text):
            return resource
        raise BadSpec(spec=shown(spec), why="it is neither a HydroShare resource's id (32 hex digits) nor its address")

    def _on_page(self, address: str) -> str | None:
        """Return the resource id in a page address of this host, or None."""
        match = PAGE.fullmatch(address)
        host = urlsplit(self._site).netloc.removeprefix("www.")
        return match[2] if match and match[1].lower().removeprefix("www.") == host else None


def _listed(url: str, file: _File) -> RecordFile:
    path = unquote(path_in(file.url).partition(CONTENTS)[2])
    checksum = f"md5:{file.checksum}" if file.checksum and re.fullmatch(ID, file.checksum) else ""
    return RecordFile(path, f"{url}{quote(path)}/", file.size, checksum)
