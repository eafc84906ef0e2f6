"""Images of published records: the container engine gets the files that the local one gets, through an equal guard."""

import io
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bindery.adapters.clock import SystemClock
from bindery.adapters.hosts.records.dois import Dois
from bindery.adapters.hosts.records.zenodo import ZenodoProvider
from bindery.adapters.http.client import GuardedClient
from bindery.domain.builds import BuildOrder, BuildReport, BuildState
from bindery.domain.errors import RepositoryUnusable
from bindery.domain.failure import Failure
from bindery.domain.repository import Repository
from bindery_builder.contents.records import RecordContents
from tests.containers import FROM_NOTHING, ContainerBuilding, image_files
from tests.fakes.table import DictTable
from tests.serving.record_hosts import DoiSystem, Zenodo
from tests.serving.registry import local_registry, what_is_missing

pytestmark = pytest.mark.skipif(bool(what_is_missing()), reason=what_is_missing())


@pytest.fixture
def zenodo() -> Iterator[Zenodo]:
    with DoiSystem() as dois, Zenodo(dois) as host:
        yield host


@pytest.fixture
def provider(zenodo: Zenodo) -> ZenodoProvider:
    client, clock = GuardedClient([zenodo.address, zenodo.dois.address]), SystemClock()
    return ZenodoProvider(client, DictTable(), clock, Dois(client, clock, zenodo.dois.url), api_url=zenodo.api)


@pytest.fixture
def building(
    tmp_path: Path, zenodo: Zenodo, provider: ZenodoProvider, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ContainerBuilding]:
    contents = RecordContents(lambda _: provider, GuardedClient([zenodo.address]), SystemClock())
    with local_registry(tmp_path / "registry") as registry:
        building = ContainerBuilding(tmp_path, registry, monkeypatch, contents=contents)
        yield building
        building.close()


def archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o755 << 16
            file.writestr(entry, content)
    return buffer.getvalue()


def build(building: ContainerBuilding, repository: Repository) -> BuildReport:
    order = BuildOrder(environment="record", attempt=1, scope="commit", repository=repository, seconds=120)
    return building.build(order)


def test_an_archive_of_a_record_becomes_an_image(
    building: ContainerBuilding, zenodo: Zenodo, provider: ZenodoProvider
) -> None:
    busybox = Path(shutil.which("busybox") or "").read_bytes()
    dockerfile = FROM_NOTHING + "COPY words /words\n"
    files = {"r-1/Dockerfile": dockerfile.encode(), "r-1/words": b"said by the record\n", "r-1/busybox": busybox}
    report = build(building, provider.resolve(zenodo.publish(3, 2, {"o/r-1.zip": archive(files)})).repository)
    assert report.state is BuildState.SUCCEEDED, (report, building.queue.text)
    assert "Picked Zenodo content provider." in building.queue.text
    assert image_files(building, report)["words"] == b"said by the record\n"
    manifest = building.registry.ask("GET", f"bindery/sessions/manifests/{report.image.partition('@')[2]}").json()
    config = building.registry.ask("GET", f"bindery/sessions/blobs/{manifest['config']['digest']}").json()
    assert config["config"]["Labels"]["org.opencontainers.image.revision"] == "3"
    assert config["config"]["Labels"]["org.opencontainers.image.source"] == "https://doi.org/10.5281/zenodo.3"


def test_an_archive_that_leaves_its_folder_is_not_built(
    building: ContainerBuilding, zenodo: Zenodo, provider: ZenodoProvider
) -> None:
    files = {"Dockerfile": FROM_NOTHING.encode(), "../../evil": b"x"}
    report = build(building, provider.resolve(zenodo.publish(3, 2, {"r.zip": archive(files)})).repository)
    assert report.state is BuildState.FAILED
    assert isinstance(report.failure, Failure)
    assert report.failure.kind == RepositoryUnusable.__name__
    assert not list(building.folder.rglob("evil"))
