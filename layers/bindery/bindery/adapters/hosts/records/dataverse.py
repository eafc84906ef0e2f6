"""Provider `dataverse`: datasets on any Dataverse installation.

API: guides.dataverse.org/en/latest/api/native-api.html (versions of a dataset, files) and .../api/dataaccess.html (content).
"""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from bindery.adapters.git.refs import shown
from bindery.adapters.hosts.host_parts import HostParts
from bindery.adapters.hosts.page_urls import pasted
from bindery.adapters.hosts.records.answer_cache import KEPT
from bindery.adapters.hosts.records.base import Listing, RecordFile, RecordHost
from bindery.adapters.hosts.records.dataverse_pages import (
    CITATION,
    CONTENT,
    FILE,
    FILE_PAGE,
    VERSION,
    identifier_in,
    installations,
    named_by,
)
from bindery.adapters.hosts.records.dois import Dois, doi_in, doi_page, plain
from bindery.adapters.hosts.records.rest_api import RecordApi
from bindery.adapters.http.budget import TimeLimit
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import BadSpec, RecordNotFound, VersionNotFound
from bindery.domain.repository import Repository
from bindery.domain.urls.pasted import PastedUrl
from bindery.ports.clock import Clock
from bindery.ports.repository_provider import Display, RepositoryProvider
from bindery.ports.table import Table

VERSIONED: Final = re.compile(rf"(.+)@v({VERSION})")
ORIGINAL: Final = "?format=original"


class _CamelCaseModel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


class _Checksum(_CamelCaseModel):
    type: str
    value: str


class _DataFile(_CamelCaseModel):
    id: int
    filename: str = ""
    filesize: int | None = None
    original_file_name: str | None = None
    original_file_size: int | None = None
    original_file_format: str | None = None
    checksum: _Checksum | None = None


class _Entry(_CamelCaseModel):
    label: str
    directory_label: str = ""
    restricted: bool = False
    data_file: _DataFile


class _Version(_CamelCaseModel):
    dataset_id: int
    version_number: int
    version_minor_number: int
    files: list[_Entry] = []


class _VersionAnswer(_CamelCaseModel):
    data: _Version


class _Dataset(_CamelCaseModel):
    dataset_persistent_id: str


class _File(_CamelCaseModel):
    dataset_version: _Dataset


class _FileAnswer(_CamelCaseModel):
    data: _File


class DataverseProvider(RecordHost):
    """Provider for Dataverse datasets. Specs: the DOI of a dataset, or of a file, which stands for its dataset.

    With `@v<major>.<minor>`, a spec means one version of the dataset. Specs may also be pages of datasets and files, and addresses of
    files on known installations. installations: further known installations, `host` or `host:port`.
    """

    id = "dataverse"
    display = Display(
        name="Dataverse DOI",
        example="10.7910/DVN/TJCLKP",
        regex=r"(https?:\/\/doi\.org\/|doi:)?10\.\d+\/.+",
        detect=r"^(https?://[^/]+/(dataset|file)\.xhtml\?persistentId=doi:|https?://(dx\.)?doi\.org/(?=10\.\d+/DVN/))(?<repo>10\.\d+/[^?&#]+)",
        repo_label="Dataverse DOI",
        repo_placeholder="example: 10.7910/DVN/TJCLKP",
        url_encode=False,
        ref_default=None,
        grammar="10.7910/DVN/<id>[@v<version>]",
        refs="none: the version after the DOI, or the newest",
        kept=KEPT,
    )

    def __init__(
        self, client: GuardedClient, table: Table, clock: Clock, dois: Dois, *, installations: Sequence[str] = ()
    ) -> None:
        super().__init__(table, clock)
        self._api = RecordApi(client, clock)
        self._dois = dois
        self._more = frozenset(installations)

    @classmethod
    def configured(cls, parts: HostParts) -> RepositoryProvider:
        dois = Dois.configured(parts)
        return cls(parts.client, parts.table, parts.clock, dois, installations=parts.settings.dataverse_hosts)

    def check(self, spec: str) -> str:
        doi, _ = self._read_spec(spec)
        return doi_page(doi) if doi_in(doi) else doi

    def canonical(self, spec: str) -> str:
        doi, version = self._read_spec(spec)
        return doi.lower() + (f"@v{version}" if version else "")

    def detect(self, address: str) -> PastedUrl | None:
        page = named_by(address)
        doi = doi_in(page.identifier)
        if doi:
            return pasted(self, f"{doi}@v{page.version}" if page.version else doi)
        file = FILE.fullmatch(page.file or address)
        if file is None or file[2].lower() not in self._installations:
            return super().detect(address)
        spec = quote(file[0] + (f"@v{page.version}" if page.version else ""), safe="")  # no empty segment in a link
        return PastedUrl(self.id, file[0], spec, "")

    def found(self, spec: str) -> Repository:
        identifier, requested = self._read_spec(spec)
        page = self.check(spec)
        base, dataset = self._dataset(identifier, page)
        doi = doi_in(dataset)
        if doi is None:
            raise BadSpec(spec=shown(spec), why=f"its dataset is {shown(dataset)}, which is not a DOI")
        try:
            url = _version_url(base, dataset, requested or ":latest-published")
            version = self._api.get(_VersionAnswer, f"{url}&excludeFiles=true", page).data
        except RecordNotFound:
            if requested:
                raise VersionNotFound(spec=doi, ref=f"v{requested}") from None
            raise
        number = f"{version.version_number}.{version.version_minor_number}"
        return Repository(
            provider=self.id,
            spec=spec,
            ref=f"{version.dataset_id}.v{number}",
            resolved_spec=f"{doi}@v{number}",
            clone_url=_version_url(base, dataset, number),
            repo_url=page,
            ref_url=f"https://doi.org/{doi}",
        )

    def files(self, repository: Repository, within: TimeLimit | None = None) -> Listing:
        entries = self._api.get(_VersionAnswer, repository.clone_url, repository.repo_url, within).data.files
        address = urlsplit(repository.clone_url)
        base = f"{address.scheme}://{address.netloc}"
        notes = tuple(f"{shown(each.label)} is restricted and missing here." for each in entries if each.restricted)
        return Listing([_listed(base, each) for each in entries if not each.restricted], notes)

    def spec_of(self, doi: str, address: str) -> str | None:
        return doi if identifier_in(address) else None

    def _dataset(self, requested: str, page: str) -> tuple[str, str]:
        """Return the installation's address and the dataset's identifier as the installation spells it (`doi:10...`).

        requested: a DOI or a file's address. Raises BadSpec.
        """
        if match := FILE.fullmatch(requested):
            return match[1], self._dataset_of(match[1], match[3], page)
        target = self._dois.target(requested)
        address, identifier = urlsplit(target), identifier_in(target)
        if not identifier:  # some are registered with an address that redirects to the page
            target = self._dois.landing(target)
            address, identifier = urlsplit(target), identifier_in(target)
        if not identifier:
            raise BadSpec(spec=shown(requested), why=f"it leads to {shown(target)}, which is no page of a Dataverse's")
        base = f"{address.scheme}://{address.netloc}"
        if address.path == FILE_PAGE or (address.path == CITATION and not self._is_dataset(base, identifier, page)):
            return base, self._dataset_of(base, f":persistentId?persistentId={quote(identifier, safe='/:')}", page)
        return base, identifier

    def _is_dataset(self, base: str, identifier: str, page: str) -> bool:
        """Return True if the identifier of a citation page is of a dataset, False if it is of a file."""
        try:
            url = _version_url(base, identifier, ":latest-published")
            self._api.get(_VersionAnswer, f"{url}&excludeFiles=true", page)
        except RecordNotFound:
            return False
        return True

    def _dataset_of(self, base: str, file: str, page: str) -> str:
        """Return the identifier of a file's dataset."""
        more = "&" if "?" in file else "?"
        url = f"{base}/api/files/{file}{more}returnDatasetVersion=true"
        return self._api.get(_FileAnswer, url, page).data.dataset_version.dataset_persistent_id

    def _read_spec(self, spec: str) -> tuple[str, str]:
        """Return a DOI or a file's address, and the version or an empty string. Raises BadSpec."""
        text = plain(spec)
        if match := VERSIONED.fullmatch(text):
            text, version = match.groups()
        else:
            version = ""
        identifier = doi_in(text) or doi_in(identifier_in(text))
        if identifier is None and (match := FILE.fullmatch(text)) and match[2].lower() in self._installations:
            identifier = text
        if identifier is None:
            raise BadSpec(spec=shown(spec), why="it is not a DOI such as 10.7910/DVN/TJCLKP")
        return identifier, version

    @property
    def _installations(self) -> frozenset[str]:
        return self._more | installations()


def _version_url(base: str, identifier: str, version: str) -> str:
    return f"{base}/api/datasets/:persistentId/versions/{version}?persistentId={quote(identifier, safe='/:')}"


def _listed(base: str, entry: _Entry) -> RecordFile:
    """Return the file of an entry. Tables are downloaded as uploaded, without checksum.

    The checksum of a table may be of the host's converted file.
    """
    file = entry.data_file
    folder = f"{entry.directory_label}/" if entry.directory_label else ""
    url = f"{base}{CONTENT}{file.id}"
    if file.original_file_format or file.original_file_name:
        name = file.original_file_name or entry.label
        return RecordFile(folder + name, url + ORIGINAL, file.original_file_size)
    kind = file.checksum.type.lower().replace("-", "") if file.checksum else ""
    return RecordFile(
        folder + entry.label, url, file.filesize, f"{kind}:{file.checksum.value}" if file.checksum else ""
    )
