"""Dataverse, HydroShare and CKAN on loopback, answering as their published documentation says.

Dataverse: guides.dataverse.org/en/latest/api/native-api.html ("Get Version of a Dataset", "Get JSON Representation of a File"),
guides.dataverse.org/en/latest/api/dataaccess.html ("Basic File Access"; `format=original` for tables).
HydroShare: www.hydroshare.org/hsapi (`resource/{id}/scimeta/elements`, `resource/{id}/files/`, paginated, and `.../files/{path}/`).
CKAN: docs.ckan.org/en/2.9/api (package_show, and activity_data_show with `object_type=package`).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from tests.serving.record_hosts import DoiSystem
from tests.serving.site import MISSING, Reply, Site

Files = dict[str, bytes]


@dataclass
class Dataset:
    """A dataset. versions: by number. restricted: paths.

    tables: path -> the uploaded file, for each file that the host turned into a table.
    """

    number: int
    versions: dict[str, Files] = field(default_factory=dict)
    tables: Files = field(default_factory=dict)
    restricted: set[str] = field(default_factory=set)


class Dataverse(Site):
    """A Dataverse server. datasets: by persistent id. file_ids: persistent id of a file -> its dataset's."""

    def __init__(self, dois: DoiSystem) -> None:
        super().__init__()
        self.dois = dois
        self.datasets: dict[str, Dataset] = {}
        self.file_ids: dict[str, str] = {}
        self.content: list[tuple[bytes, bytes]] = []

    def publish(self, doi: str, version: str, files: Files, page: str = "dataset.xhtml") -> Dataset:
        """Add a version of the dataset. Its DOI leads to the given page of the dataset."""
        dataset = self.datasets.setdefault(f"doi:{doi}", Dataset(3035124 + len(self.datasets)))
        dataset.versions[version] = dict(files)
        self.dois.targets[doi.lower()] = f"{self.url}/{page}?persistentId=doi:{doi}"
        return dataset

    def publish_file(self, doi: str, dataset: str, page: str = "file.xhtml") -> None:
        """Register a DOI of a single file."""
        self.file_ids[f"doi:{doi}"] = f"doi:{dataset}"
        self.dois.targets[doi.lower()] = f"{self.url}/{page}?persistentId=doi:{doi}"

    def found(self, path: str, query: Mapping[str, str]) -> Reply:
        match unquote(path).strip("/").split("/"):
            case ["api", "datasets", ":persistentId", "versions", version]:
                return self._version(query.get("persistentId", ""), version, "excludeFiles" in query)
            case ["api", "files", file] if query.get("returnDatasetVersion") == "true":
                return self._file(query.get("persistentId", "") if file == ":persistentId" else file)
            case ["api", "access", "datafile", number] if int(number) < len(self.content):
                plain, original = self.content[int(number)]
                return Reply(200, original if query.get("format") == "original" else plain)
        return Reply(404, {"status": "ERROR", "message": "not found"})

    def _version(self, identifier: str, version: str, bare: bool) -> Reply:
        dataset = self.datasets.get(identifier)
        number = list(dataset.versions)[-1] if dataset and version == ":latest-published" else version
        if dataset is None or number not in dataset.versions:
            return Reply(404, {"status": "ERROR", "message": f"Dataset with Persistent ID {identifier} not found."})
        major, _, minor = number.partition(".")
        version_json = {"datasetId": dataset.number, "datasetPersistentId": identifier, "versionState": "RELEASED"}
        numbers = {"versionNumber": int(major), "versionMinorNumber": int(minor)}
        files = [] if bare else [self._entry(dataset, *item) for item in dataset.versions[number].items()]
        return Reply(200, {"status": "OK", "data": {"id": 7, **version_json, **numbers, "files": files}})

    def _entry(self, dataset: Dataset, path: str, content: bytes) -> dict[str, object]:
        folder, _, name = path.rpartition("/")
        original = dataset.tables.get(path, content)
        self.content.append((content, original))
        checksum = {"type": "SHA-256", "value": hashlib.sha256(content).hexdigest()}
        file = {"id": len(self.content) - 1, "filename": name, "filesize": len(content), "checksum": checksum}
        if path in dataset.tables:
            form = {"originalFileFormat": "text/csv", "originalFileSize": len(original)}
            file |= {**form, "originalFileName": name.replace(".tab", ".csv")}
        entry = {"label": name, "restricted": path in dataset.restricted, "dataFile": file}
        return entry | ({"directoryLabel": folder} if folder else {})

    def _file(self, identifier: str) -> Reply:
        dataset = self.file_ids.get(identifier)
        if dataset is None:
            return Reply(404, {"status": "ERROR", "message": "File not found"})
        return Reply(200, {"status": "OK", "data": {"label": "x", "datasetVersion": {"datasetPersistentId": dataset}}})


class HydroShare(Site):
    """A HydroShare server. resources: by id, with the time of their last change (UTC seconds). page_size: files in a page."""

    page_size = 2

    def __init__(self) -> None:
        super().__init__()
        self.resources: dict[str, tuple[int, Files]] = {}

    @property
    def api(self) -> str:
        return f"{self.url}/hsapi"

    def found(self, path: str, query: Mapping[str, str]) -> Reply:
        match unquote(path).strip("/").split("/", 4):
            case ["hsapi", "resource", resource, *rest] if resource in self.resources:
                changed, files = self.resources[resource]
                return self._resource(resource, changed, files, "/".join(rest), int(query.get("page", "1")))
        return MISSING

    def _resource(self, resource: str, changed: int, files: Files, rest: str, page: int) -> Reply:
        if rest == "scimeta/elements":
            at = datetime.fromtimestamp(changed, UTC).strftime("%Y-%m-%dT%H:%M:%S.123456Z")
            dates = [{"type": "created", "start_date": "2017-01-01T00:00:00Z"}, {"type": "modified", "start_date": at}]
            return Reply(200, {"title": "x", "dates": dates})
        if rest == "files":
            first = (page - 1) * self.page_size
            there = list(files.items())[first : first + self.page_size]
            more = f"{self.api}/resource/{resource}/files/?page={page + 1}"
            following = more if first + self.page_size < len(files) else None
            listed = [self._listed(resource, *item) for item in there]
            return Reply(200, {"count": len(files), "next": following, "previous": None, "results": listed})
        content = files.get(rest.removeprefix("files/"))
        return MISSING if content is None else Reply(200, content)

    def _listed(self, resource: str, path: str, content: bytes) -> dict[str, object]:
        url = f"{self.url}/resource/{resource}/data/contents/{quote(path)}"
        entry = {"file_name": path.rpartition("/")[2], "content_type": "text/plain"}
        return {"url": url, **entry, "size": len(content), "checksum": hashlib.md5(content).hexdigest()}


class Ckan(Site):
    """A CKAN server. prefix: CKAN's path on its site.

    datasets: name -> changes, each (UTC seconds, files); the last one is current.
    An activity is called `act-<name>-<number of the change>`. links: addresses of resources that lie elsewhere.
    """

    def __init__(self, prefix: str = "") -> None:
        super().__init__()
        self.prefix = prefix
        self.datasets: dict[str, list[tuple[int, Files]]] = {}
        self.links: list[str] = []

    def publish(self, name: str, changed: int, files: Files) -> str:
        """Add a change; return the dataset's page."""
        self.datasets.setdefault(name, []).append((changed, dict(files)))
        return f"{self.url}{self.prefix}/dataset/{name}"

    def found(self, path: str, query: Mapping[str, str]) -> Reply:
        own = unquote(path).removeprefix(self.prefix)
        identifier = query.get("id", "")
        if own == "/api/3/action/package_show" and identifier in self.datasets:
            return self._package(identifier, len(self.datasets[identifier]) - 1)
        if own == "/api/3/action/activity_data_show" and query.get("object_type") == "package":
            name, _, number = identifier.removeprefix("act-").rpartition("-")
            return self._package(name, int(number)) if name in self.datasets else MISSING
        match own.strip("/").split("/", 3):
            case ["files", name, number, file]:
                return Reply(200, self.datasets[name][int(number)][1][file])
        return Reply(404, {"success": False, "error": {"__type": "Not Found Error", "message": "Not found"}})

    def _package(self, name: str, number: int) -> Reply:
        changed, files = self.datasets[name][number]
        at = datetime.fromtimestamp(changed, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
        resources: list[dict[str, object]] = [
            {
                "id": f"res-{index}",
                "url": f"{self.url}{self.prefix}/files/{name}/{number}/{quote(file)}",
                "url_type": "upload",
                "size": len(content),
                "hash": hashlib.sha1(content).hexdigest(),
            }
            for index, (file, content) in enumerate(files.items())
        ]
        resources += [{"id": f"link-{n}", "url": url, "url_type": "", "size": 5} for n, url in enumerate(self.links)]
        resources.append({"id": "nothing", "url": "", "url_type": None, "size": None, "hash": ""})
        result = {"name": name, "metadata_modified": at, "resources": resources}
        return Reply(200, {"success": True, "result": result})
