"""The DOI system, Zenodo and Figshare on loopback: recorded answers if they exist, else answers by their documentation.

DOIs: www.doi.org/the-identifier/resources/factsheets/doi-resolution-documentation (the proxy's REST API).
Zenodo: developers.zenodo.org (records) and inveniordm.docs.cern.ch/reference/rest_api_drafts_records (a record's files).
The API does not know the number that stands for all versions, although the page does: github.com/zenodo/zenodo/issues/2499.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from tests.serving.site import MISSING, Reply, Site, moved

RECORDINGS = Path(__file__).parents[2].parent / "shared" / "recordings" / "zenodo.org.json"
FIGSHARE_RECORDINGS = RECORDINGS.with_name("api.figshare.com.json")
RECORDED = "https://zenodo.org/record/3242074"


class DoiSystem(Site):
    """The DOI system. targets: DOI, in lower case -> address that it is registered with."""

    def __init__(self, targets: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.targets = dict(targets or {})

    def found(self, path: str, query: Mapping[str, str]) -> Reply:
        doi = unquote(path).removeprefix("/api/handles/")
        target = self.targets.get(doi.lower())
        if target is None:
            return Reply(404, {"responseCode": 100, "handle": doi})
        value = {"index": 1, "type": "URL", "data": {"format": "string", "value": target}, "ttl": 86400}
        return Reply(200, {"responseCode": 1, "handle": doi, "values": [value]})


@dataclass
class Record:
    """A single version of a record. concept: the number that stands for all versions. files: by key."""

    concept: int
    files: dict[str, bytes]
    doi: str = ""


class Zenodo(Site):
    """A Zenodo server. records: by number."""

    def __init__(self, dois: DoiSystem) -> None:
        super().__init__()
        self.dois = dois
        self.records: dict[int, Record] = {}

    @property
    def api(self) -> str:
        return f"{self.url}/api"

    def publish(self, number: int, concept: int, files: Mapping[str, bytes], doi: str = "") -> str:
        """Add a version; return its DOI."""
        doi = doi or f"10.5281/zenodo.{number}"
        self.records[number] = Record(concept, dict(files), doi)
        self.dois.targets[doi.lower()] = f"{self.url}/records/{number}"
        self.dois.targets[f"10.5281/zenodo.{concept}"] = f"{self.url}/doi/10.5281/zenodo.{concept}"
        return doi

    def publish_recorded(self) -> str:
        """Publish the recorded record, as its page describes it. The page's own address is the target of its DOI."""
        page = json.loads(RECORDINGS.read_text(encoding="utf-8"))[RECORDED]["body"]
        doi = re.search(r'citation_doi" content="([^"]+)"', page)
        concept = re.search(r"10\.5281/zenodo\.(3242073)\b", page)
        assert doi
        assert concept
        number = int(doi[1].rpartition(".")[2])
        self.publish(number, int(concept[1]), {}, doi[1])
        self.dois.targets[doi[1]] = f"{self.url}/record/{number}"
        self.replies[f"/record/{number}"] = Reply(200, page.encode())
        return doi[1]

    def found(self, path: str, query: Mapping[str, str]) -> Reply:
        steps = unquote(path).strip("/").split("/", 4)
        match steps:
            case ["api", "records", number, *rest] if record := self.records.get(int(number)):
                return self._api(int(number), record, rest)
            case ["doi", prefix, suffix]:
                return self._page(f"{prefix}/{suffix}")
            case ["records" | "record", _]:
                return Reply(200, b"<!doctype html>")
        return MISSING

    def _page(self, doi: str) -> Reply:
        own = [number for number, record in self.records.items() if record.doi == doi]
        all_versions = [n for n, record in self.records.items() if f"10.5281/zenodo.{record.concept}" == doi]
        return moved(f"{self.url}/records/{max(own or all_versions)}") if own or all_versions else MISSING

    def _api(self, number: int, record: Record, rest: list[str]) -> Reply:
        own = f"{self.api}/records/{number}"
        if not rest:
            facts = {"conceptrecid": str(record.concept), "conceptdoi": f"10.5281/zenodo.{record.concept}"}
            links = {"self": own, "files": f"{own}/files"}
            return Reply(200, {"id": number, "recid": str(number), "doi": record.doi, **facts, "links": links})
        if rest == ["files"]:
            return Reply(200, {"enabled": True, "entries": [self._entry(own, *item) for item in record.files.items()]})
        content = record.files.get(rest[1].removesuffix("/content"))
        return MISSING if content is None else Reply(200, content)

    def _entry(self, own: str, key: str, content: bytes) -> dict[str, object]:
        checksum = "md5:" + hashlib.md5(content).hexdigest()
        link = f"{own}/files/{quote(key)}"
        return {
            "key": key,
            "size": len(content),
            "checksum": checksum,
            "links": {"self": link, "content": f"{link}/content"},
        }


class Figshare(Site):
    """A Figshare server, by docs.figshare.com: an article's versions, a version with ten of its files, and all of its files in pages.

    articles: number -> files by version, from 1. largest_page: the limit for any requested page size.
    """

    largest_page = 25

    def __init__(self, dois: DoiSystem) -> None:
        super().__init__()
        self.dois = dois
        self.articles: dict[int, list[dict[str, bytes]]] = {}
        self.links: list[str] = []
        if FIGSHARE_RECORDINGS.exists():
            for url, recording in json.loads(FIGSHARE_RECORDINGS.read_text(encoding="utf-8")).items():
                path = url.removeprefix("https://api.figshare.com")
                self.replies[path] = Reply(recording["code"], json.loads(recording["body"]))

    @property
    def api(self) -> str:
        return f"{self.url}/v2"

    def publish(self, number: int, files: Mapping[str, bytes]) -> str:
        """Add a version; return the article's DOI."""
        self.articles.setdefault(number, []).append(dict(files))
        return f"10.6084/m9.figshare.{number}"

    def found(self, path: str, query: Mapping[str, str]) -> Reply:
        match unquote(path).strip("/").split("/", 3):
            case ["v2", "articles", number, *rest] if versions := self.articles.get(int(number)):
                return self._article(int(number), versions, "".join(rest), query)
            case ["files", number, version, name]:
                return Reply(200, self.articles[int(number)][int(version) - 1][name])
        return MISSING

    def _article(self, number: int, versions: list[dict[str, bytes]], rest: str, query: Mapping[str, str]) -> Reply:
        doi = f"10.6084/m9.figshare.{number}"
        if not rest:
            return Reply(200, {"id": number, "doi": f"{doi}.v{len(versions)}"})
        if rest == "versions":
            urls = [(n, f"{self.api}/articles/{number}/versions/{n}") for n in range(1, len(versions) + 1)]
            return Reply(200, [{"version": n, "url": url} for n, url in urls])
        version = int(rest.removeprefix("versions/").removesuffix("/files"))
        files = [self._file(number, version, *item) for item in versions[version - 1].items()]
        elsewhere = {"size": 0, "computed_md5": "", "supplied_md5": "", "is_link_only": True}
        links = [{"id": 0, "name": link, "download_url": link, **elsewhere} for link in self.links]
        if rest.endswith("/files"):
            size = min(int(query.get("page_size", "10")), self.largest_page)
            first = (int(query.get("page", "1")) - 1) * size
            return Reply(200, (files + links)[first : first + size])
        return Reply(200, {"id": number, "doi": f"{doi}.v{version}", "version": version, "files": (files + links)[:10]})

    def _file(self, number: int, version: int, name: str, content: bytes) -> dict[str, object]:
        md5 = hashlib.md5(content).hexdigest()
        url = f"{self.url}/files/{number}/{version}/{quote(name, safe='')}"
        details = {"computed_md5": md5, "supplied_md5": "", "is_link_only": False, "download_url": url}
        return {"id": 1, "name": name, "size": len(content), **details}
