"""Provider `zenodo`: records on Zenodo, or on another InvenioRDM host.

API: developers.zenodo.org and inveniordm.docs.cern.ch/reference/rest_api_drafts_records.
"""

import re
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel

from bindery.adapters.git.refs import shown
from bindery.adapters.hosts.host_parts import HostParts
from bindery.adapters.hosts.page_urls import Shown, pasted
from bindery.adapters.hosts.records.answer_cache import KEPT
from bindery.adapters.hosts.records.base import Listing, RecordFile, RecordHost
from bindery.adapters.hosts.records.dois import Dois, doi_in, doi_page, plain
from bindery.adapters.hosts.records.rest_api import RecordApi
from bindery.adapters.http.address_rules import parsed
from bindery.adapters.http.budget import TimeLimit
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import BadSpec, HostUnreachable, RecordNotFound
from bindery.domain.repository import Repository
from bindery.domain.urls.pasted import PastedUrl, Place
from bindery.ports.clock import Clock
from bindery.ports.repository_provider import Display, RepositoryProvider
from bindery.ports.table import Table

OWN_DOI: Final = re.compile(r"10\.[0-9.]+/zenodo\.([0-9]{1,15})", re.IGNORECASE)
PAGE: Final = re.compile(r"https?://([^/?#]+)/(?:api/)?records?/([0-9]{1,15})(?:[/?#].*)?")
FILE: Final = re.compile(r"(?:api/)?records?/[0-9]+/(?:files|preview)/(.+?)(?:(?<=.)/content)?")
DRAFT: Final = re.compile(r"(?:uploads|deposit)/([0-9]{1,15})")
"""The future record number of a draft. A launch of it fails: the draft has to be published first."""
OF_DOI: Final = re.compile(r"(?:doi|badge/DOI)/(10\..+?)(?:\.svg)?", re.IGNORECASE)
ID: Final = re.compile(r"[0-9]{1,15}")


class _Record(BaseModel):
    id: int | str
    doi: str = ""
    conceptdoi: str = ""


class _Links(BaseModel):
    content: str


class _Entry(BaseModel):
    key: str
    size: int | None = None
    checksum: str | None = None
    links: _Links


class _Files(BaseModel):
    entries: list[_Entry] = []


class ZenodoProvider(RecordHost):
    """Provider for Zenodo records. Specs: a record's DOI, or the DOI that stands for its newest version.

    A DOI may be bare, start with `doi:`, or be an address. api_url: without a trailing slash; pages are on the same host.
    """

    id = "zenodo"
    display = Display(
        name="Zenodo DOI",
        example="10.5281/zenodo.3242074",
        regex=r"(https?:\/\/doi\.org\/|doi:)?10\.\d+\/.+",
        detect=r"^(https?://(dx\.)?doi\.org/|https?://zenodo\.org/doi/|doi:)?(?<repo>10\.\d+/zenodo\.\d+)/?$",
        repo_label="Zenodo DOI",
        repo_placeholder="example: 10.5281/zenodo.3242074",
        url_encode=False,
        ref_default=None,
        grammar="10.5281/zenodo.<number>",
        refs="none: the DOI names one version, or all versions, of which the newest is launched",
        kept=KEPT,
    )

    def __init__(
        self, client: GuardedClient, table: Table, clock: Clock, dois: Dois, *, api_url: str = "https://zenodo.org/api"
    ) -> None:
        super().__init__(table, clock, api_url)
        self._api = RecordApi(client, clock)
        self._dois = dois
        self._url = api_url.rstrip("/")
        self._address = parsed(api_url)
        at = urlsplit(self._url)
        self._place = Place.of(f"{at.scheme}://{at.netloc}")

    @classmethod
    def configured(cls, parts: HostParts) -> RepositoryProvider:
        dois = Dois.configured(parts)
        return cls(parts.client, parts.table, parts.clock, dois, api_url=parts.settings.zenodo_api_url)

    def check(self, spec: str) -> str:
        return doi_page(self._doi(spec))

    def canonical(self, spec: str) -> str:
        return self._doi(spec).lower()

    def detect(self, address: str) -> PastedUrl | None:
        place = Place.of(address)
        steps = place.below(self._place) if place else None
        if place is None or steps is None:
            return super().detect(address)
        path = "/".join(steps)
        if number := self._number(place.upto(len(place.steps))):
            shown_file = FILE.fullmatch(path)
            return pasted(self, f"10.5281/zenodo.{number}", Shown("", shown_file[1] if shown_file else ""))
        if draft := DRAFT.fullmatch(path):
            return pasted(self, f"10.5281/zenodo.{draft[1]}")
        match = OF_DOI.fullmatch(path)
        doi = doi_in(match[1]) if match else None
        return pasted(self, doi) if doi else None

    def found(self, spec: str) -> Repository:
        doi = self._doi(spec)
        record = self._own_record(doi) or self._target_record(doi)
        number = str(record.id)
        if not ID.fullmatch(number):
            raise HostUnreachable(host=self._address.host, why="its answer names no record")
        resolved = doi_in(record.doi) or f"10.5281/zenodo.{number}"
        return Repository(
            provider=self.id,
            spec=spec,
            ref=number,
            resolved_spec=resolved,
            clone_url=f"{self._url}/records/{number}",
            repo_url=doi_page(doi),
            ref_url=f"https://doi.org/{resolved}",
        )

    def files(self, repository: Repository, within: TimeLimit | None = None) -> Listing:
        answer = self._api.get(_Files, f"{repository.clone_url}/files", repository.repo_url, within)
        return Listing([RecordFile(e.key, e.links.content, e.size, e.checksum or "") for e in answer.entries])

    def spec_of(self, doi: str, address: str) -> str | None:
        at = urlsplit(address)
        is_own_host = at.netloc.lower().removeprefix("www.") in self._hosts
        return doi if is_own_host and at.path.startswith(("/record/", "/records/", "/doi/")) else None

    def _own_record(self, doi: str) -> _Record | None:
        """Return the record with the number in the DOI, or the newest version if the DOI stands for all versions.

        Return None if the DOI has no record number, or the host has no record with this number and DOI.
        """
        match = OWN_DOI.fullmatch(doi)
        if match:
            with suppress(RecordNotFound):
                record = self._record(match[1], doi)
                if doi.lower() in {record.doi.lower(), record.conceptdoi.lower()}:
                    return record
        return None

    def _target_record(self, doi: str) -> _Record:
        """Return the record that the DOI leads to. Raises RecordNotFound, BadSpec.

        The record is in the address that the DOI is registered with, or in the address that this one redirects to.
        """
        target = self._dois.target(doi)
        number = self._number(target)
        if number is None:
            target = self._dois.landing(target)
            number = self._number(target)
        if number is None and self.spec_of(doi, target):  # the host's own page of the DOI, which redirects to no record
            raise RecordNotFound(url=doi_page(doi))
        if number is None:
            raise BadSpec(spec=shown(doi), why=f"it leads to {shown(target)}, which is no record of this host's")
        return self._record(number, doi)

    def _record(self, number: str, doi: str) -> _Record:
        return self._api.get(_Record, f"{self._url}/records/{number}", doi_page(doi))

    def _number(self, address: str) -> str | None:
        """Return the record number in a page address of this host, or None."""
        match = PAGE.fullmatch(address)
        if not match or match[1].lower().removeprefix("www.") not in self._hosts:
            return None
        return match[2]

    @property
    def _hosts(self) -> set[str]:
        return {self._address.host, f"{self._address.host}:{self._address.port}"}

    def _doi(self, spec: str) -> str:
        text = plain(spec)
        doi = doi_in(text)
        if doi is None and (number := self._number(text)):
            doi = f"10.5281/zenodo.{number}"
        if doi is None:
            raise BadSpec(spec=shown(spec), why="it is not a DOI such as 10.5281/zenodo.3242074")
        return doi
