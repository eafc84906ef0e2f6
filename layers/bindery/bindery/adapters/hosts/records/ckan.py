"""Provider `ckan`: datasets on any site that runs CKAN.

API: docs.ckan.org/en/latest/api (package_show) and the activity extension's activity_data_show.
"""

import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qs, quote, unquote, urlsplit

from pydantic import BaseModel

from bindery.adapters.git.refs import shown
from bindery.adapters.hosts.host_parts import HostParts
from bindery.adapters.hosts.page_urls import pasted
from bindery.adapters.hosts.records.answer_cache import VERSION_SECONDS
from bindery.adapters.hosts.records.base import Listing, RecordFile, RecordHost
from bindery.adapters.hosts.records.dois import plain
from bindery.adapters.hosts.records.rest_api import RecordApi
from bindery.adapters.http.address_rules import canonical, parsed, path_in
from bindery.adapters.http.budget import TimeLimit
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import BadAddress, BadSpec, RepositoryUnusable
from bindery.domain.repository import Repository
from bindery.domain.urls.pasted import PastedUrl, Place
from bindery.ports.clock import Clock
from bindery.ports.repository_provider import Display, RepositoryProvider
from bindery.ports.table import Table

SITE: Final = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
PAGE: Final = re.compile(
    r"(?:^|/)dataset/(?!(?:groups|edit|activity|new)(?:/|$))[A-Za-z0-9_-]+(?:/(?:resource|history)/.+)?$"
)
DIGESTS: Final = {32: "md5", 40: "sha1", 64: "sha256"}


class _Resource(BaseModel):
    id: str
    url: str = ""
    url_type: str | None = None
    size: int | str | None = None
    hash: str | None = None


class _Package(BaseModel):
    name: str
    metadata_modified: datetime
    resources: list[_Resource] = []


class _Answer(BaseModel):
    result: _Package


@dataclass(frozen=True)
class _Dataset:
    """Dataset on a CKAN site.

    site: address with the path prefix of CKAN there. activity: id of the activity that left the dataset in the requested state, or empty.
    """

    site: str
    name: str
    activity: str

    @property
    def page(self) -> str:
        return f"{self.site}/dataset/{self.name}" + (f"/history/{self.activity}" if self.activity else "")

    @property
    def question(self) -> str:
        if self.activity:
            return f"{self.site}/api/3/action/activity_data_show?id={self.activity}&object_type=package"
        return f"{self.site}/api/3/action/package_show?id={self.name}"


class CkanProvider(RecordHost):
    """Provider for CKAN datasets. Specs: a dataset's percent-encoded address.

    With `/history/<activity>` or `?activity_id=<activity>`, the address means the state after that activity. Without, it means the
    current state: a dataset that changes between a launch and its build is refused.
    """

    id = "ckan"
    display = Display(
        name="CKAN dataset",
        example="https%3A%2F%2Fdemo.ckan.org%2Fdataset%2Fsample-dataset-1",
        regex=r".+",
        detect=None,
        repo_label="CKAN dataset URL",
        repo_placeholder="https://demo.ckan.org/dataset/sample-dataset-1",
        url_encode=True,
        ref_default=None,
        grammar="https%3A%2F%2F...%2Fdataset%2F<name>",
        refs="none: the activity in the address, or the present dataset",
        kept=f"activity: {VERSION_SECONDS // 3600} hours; present dataset: not kept, as it may change at any time",
    )

    def __init__(self, client: GuardedClient, table: Table, clock: Clock) -> None:
        super().__init__(table, clock)
        self._api = RecordApi(client, clock)

    @classmethod
    def configured(cls, parts: HostParts) -> RepositoryProvider:
        return cls(parts.client, parts.table, parts.clock)

    def check(self, spec: str) -> str:
        return _dataset(spec).page

    def canonical(self, spec: str) -> str:
        return _dataset(spec).page

    def detect(self, address: str) -> PastedUrl | None:
        place = Place.of(address)
        match = PAGE.search("/".join(place.steps)) if place else None
        return pasted(self, _dataset(quote(address, safe="")).page) if match else None

    def found(self, spec: str) -> Repository:
        dataset = _dataset(spec)
        package = self._api.get(_Answer, dataset.question, dataset.page).result
        return Repository(
            provider=self.id,
            spec=spec,
            ref=f"{dataset.name}.v{_changed(package)}",
            resolved_spec=quote(dataset.page, safe=""),
            clone_url=dataset.question,
            repo_url=dataset.page,
            ref_url=dataset.page,
        )

    def lasts(self, canonical: str, repository: Repository) -> float:  # noqa: ARG002 # a dataset without an activity may change at any time
        return VERSION_SECONDS if _dataset(quote(canonical, safe="")).activity else 0

    def files(self, repository: Repository, within: TimeLimit | None = None) -> Listing:
        package = self._api.get(_Answer, repository.clone_url, repository.repo_url, within).result
        if not repository.ref.endswith(f".v{_changed(package)}"):
            raise RepositoryUnusable(
                why="its host has changed it since the launch began; launch again to get its present version"
            )
        resources = [each for each in package.resources if each.url]
        names = Counter(_name(each) for each in resources)
        return Listing([_listed(each, lone=names[_name(each)] == 1) for each in resources])

    def spec_of(self, doi: str, address: str) -> str | None:  # noqa: ARG002 # the address identifies the dataset
        if not PAGE.search(urlsplit(address).path.rstrip("/")):  # other software has pages below `dataset`, too
            return None
        try:
            return quote(_dataset(quote(address, safe="")).page, safe="")
        except BadSpec:
            return None


def _changed(package: _Package) -> int:
    """Return the time of the last change in UTC seconds; the host's times have no zone."""
    at = package.metadata_modified
    return int(at.replace(tzinfo=at.tzinfo or UTC).timestamp())


def _name(resource: _Resource) -> str:
    return unquote(path_in(resource.url).rpartition("/")[2]) or resource.id


def _listed(resource: _Resource, *, lone: bool) -> RecordFile:
    """Return the file of a resource, with size and checksum only if it was uploaded.

    A file on another server may have changed since its size was stored; an uploaded file has not.
    """
    path = _name(resource) if lone else f"{resource.id}/{_name(resource)}"
    if resource.url_type != "upload":
        return RecordFile(path, resource.url)
    digits = (resource.hash or "").rpartition(":")[2].lower()
    algorithm = DIGESTS.get(len(digits), "") if re.fullmatch("[0-9a-f]+", digits) else ""
    size_text = str(resource.size or "")
    size = int(size_text) if re.fullmatch("[0-9]{1,15}", size_text) else None
    return RecordFile(path, resource.url, size, f"{algorithm}:{digits}" if algorithm else "")


def _dataset(spec: str) -> _Dataset:
    text = plain(spec)
    try:
        parsed(text)
    except BadAddress as error:
        raise BadSpec(spec=error.facts["url"], why=error.facts["why"]) from None
    address = urlsplit(text)
    prefix, separator, rest = address.path.partition("/dataset/")
    name, *more = rest.split("/")
    if not separator or not NAME.fullmatch(name) or not SITE.fullmatch(prefix):
        raise BadSpec(
            spec=shown(text), why="it is no address of a dataset, such as https://demo.ckan.org/dataset/example"
        )
    activity = more[1] if more[:1] == ["history"] and len(more) > 1 else ""
    activity = activity or parse_qs(address.query).get("activity_id", [""])[0]
    if activity and not NAME.fullmatch(activity):
        raise BadSpec(spec=shown(text), why="its activity is none")
    return _Dataset(canonical(f"{address.scheme}://{address.netloc}{prefix}"), name, activity)
