"""Images that buildah really makes and a registry really takes."""

from contextlib import closing
from pathlib import Path

import pytest

from bindery.domain.builds import BuildReport, BuildState
from bindery.domain.errors import BuildFailed, BuildServiceDown
from bindery.domain.failure import Failure
from tests.building import REF, ordered
from tests.containers import FROM_NOTHING, RELAYED, ContainerBuilding, step
from tests.serving.registry import LocalRegistry, what_is_missing

pytestmark = pytest.mark.skipif(bool(what_is_missing()), reason=what_is_missing())


def digest(building: ContainerBuilding, report: BuildReport) -> str:
    assert report.state is BuildState.SUCCEEDED, (report, building.queue.text)
    name, _, digest = report.image.partition("@")
    assert name == f"{building.registry.host}/bindery/sessions"
    return digest


def test_an_image_is_recorded_by_the_digest_that_the_registry_serves(building: ContainerBuilding) -> None:
    order = ordered(building.repository({"Dockerfile": FROM_NOTHING + step("echo hello")}), "key", 3, scope="tree")
    recorded = digest(building, building.build(order))
    served = building.registry.ask("HEAD", "bindery/sessions/manifests/key-3")
    assert served.headers["Docker-Content-Digest"] == recorded
    manifest = building.registry.ask("GET", f"bindery/sessions/manifests/{recorded}").json()
    config = building.registry.ask("GET", f"bindery/sessions/blobs/{manifest['config']['digest']}").json()
    labels = config["config"]["Labels"]
    assert labels["org.opencontainers.image.source"] == "https://example.org/r"
    assert labels["org.opencontainers.image.revision"] == REF
    assert (labels["bindery.environment"], labels["bindery.attempt"]) == ("key", "3")
    assert list((building.home / "containers" / "store").iterdir()) == []


def test_log_lines_have_the_order_of_the_build(building: ContainerBuilding) -> None:
    order = ordered(
        building.repository({"Dockerfile": FROM_NOTHING + step(f"echo hello from the step; {RELAYED}")}), scope="tree"
    )
    digest(building, building.build(order))
    phases = [line.phase for line in building.queue.lines]
    assert phases == sorted(phases, key=["fetching", "building", "pushing"].index)
    assert set(phases) == {"fetching", "building", "pushing"}
    assert "\nhello from the step\n" in building.queue.text
    assert str(building.home) not in building.queue.text


def test_an_image_deleted_in_the_registry_does_not_exist(building: ContainerBuilding) -> None:
    report = building.build(ordered(building.repository({"Dockerfile": FROM_NOTHING}), scope="tree"))
    assert building.builds.image_exists(report.image)
    assert building.registry.ask("DELETE", f"bindery/sessions/manifests/{digest(building, report)}").is_success
    assert not building.builds.image_exists(report.image)
    building.registry.stop()
    with pytest.raises(BuildServiceDown) as down:
        building.builds.image_exists(report.image)
    assert building.registry.host in str(down.value)
    building.registry.start()
    assert not building.builds.image_exists(report.image)


def test_deleting_an_image_twice_is_no_error(building: ContainerBuilding) -> None:
    report = building.build(ordered(building.repository({"Dockerfile": FROM_NOTHING}), scope="tree"))
    for _ in range(2):
        assert building.builds.remove(report.image)
        assert not building.builds.image_exists(report.image)
    building.registry.stop()
    with pytest.raises(BuildServiceDown):
        building.builds.remove(report.image)
    building.registry.start()


def test_two_environments_of_a_repository_share_layers(building: ContainerBuilding) -> None:
    repository = building.repository({"Dockerfile": FROM_NOTHING + step("echo this takes long")})
    first = digest(building, building.build(ordered(repository, "one", scope="tree")))
    building.queue.messages.clear()
    second = digest(building, building.build(ordered(repository, "two", scope="tree")))
    assert "this takes long\n" not in building.queue.text.splitlines(keepends=True)
    assert building.queue.text.count("Using cache") >= 2
    assert first != second  # their labels name the build's purpose


@pytest.mark.parametrize("folder", ["binder", ".binder"])
def test_a_dockerfile_in_the_binder_folder_can_copy_the_whole_repository(
    building: ContainerBuilding, folder: str
) -> None:
    text = FROM_NOTHING + "COPY data.txt /\n" + step("grep '42 of it' /data.txt")
    files: dict[str, str | bytes] = {
        f"{folder}/Dockerfile": text,
        "Dockerfile": "FROM nothing",
        "data.txt": "42 of it\n",
    }
    digest(building, building.build(ordered(building.repository(files), scope="tree")))


def test_a_dockerignore_is_respected(building: ContainerBuilding) -> None:
    files: dict[str, str | bytes] = {
        "Dockerfile": FROM_NOTHING + "COPY . /all\n" + step("[ -e /all/open.txt ] && [ ! -e /all/secret.txt ]"),
        ".dockerignore": "secret.txt\n",
        "secret.txt": "x",
        "open.txt": "x",
    }
    digest(building, building.build(ordered(building.repository(files), scope="tree")))


def test_a_failing_step_is_reported_with_its_last_output(building: ContainerBuilding) -> None:
    text = FROM_NOTHING + step("echo first words") + step("echo no such package: spam; " + RELAYED + "; exit 7")
    report = building.build(ordered(building.repository({"Dockerfile": text}), scope="tree"))
    assert report.failure is not None
    assert report.failure.kind == "BuildFailed"
    assert str(report.failure.facts["step"]).startswith("RUN /bin/busybox sh -c echo no such package")
    assert report.failure.facts["why"] == "exit status 7: no such package: spam"


@pytest.mark.parametrize("text", ["FORM scratch\n", "", "FROM scratch\nCOPY nowhere /\n"])
def test_an_invalid_dockerfile_fails_the_build(building: ContainerBuilding, text: str) -> None:
    failure = building.build(ordered(building.repository({"Dockerfile": text}), scope="tree")).failure
    assert failure is not None
    assert failure.kind == "BuildFailed"
    assert failure.facts["why"]


def test_an_unreachable_registry_is_named_and_the_next_attempt_reuses_layers(
    building: ContainerBuilding,
) -> None:
    folder = building.repository({"Dockerfile": FROM_NOTHING + step("echo once")})
    building.registry.stop()
    failure = building.build(ordered(folder, scope="tree")).failure
    assert failure is not None
    assert (failure.kind, failure.facts["registry"]) == ("PushFailed", building.registry.host)
    assert "connection refused" in str(failure.facts["why"])
    building.registry.start()
    building.queue.messages.clear()
    digest(building, building.build(ordered(folder, attempt=2, scope="tree")))
    assert "\nonce\n" not in building.queue.text


def test_a_cache_over_its_limit_is_emptied(
    tmp_path: Path, registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(ContainerBuilding(tmp_path, registry, monkeypatch, max_bytes=1_000_000)) as building:
        folder = building.repository({"Dockerfile": FROM_NOTHING})
        for attempt in (1, 2):
            report = building.build(ordered(folder, attempt=attempt, scope="tree"))
            assert building.builds.image_exists(f"{registry.host}/bindery/sessions@{digest(building, report)}")
        assert "Using cache" not in building.queue.text
        assert building.builds.wait(20)
        assert list(building.builds.tool.storages.rglob("*.tar-split.gz")) == []


def test_a_build_that_fills_the_disk_is_ended(
    tmp_path: Path, registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = FROM_NOTHING + step("dd if=/dev/zero of=/big bs=1M count=3000")
    with closing(ContainerBuilding(tmp_path, registry, monkeypatch, max_build_bytes=50_000_000)) as building:
        report = building.build(ordered(building.repository({"Dockerfile": text}), scope="tree"))
    assert report.failure == Failure.of(
        BuildFailed(step="Dockerfile", why="the disk holds 0.05 GB more than when it began")
    )


def test_python_repositories_get_the_dockerfile_of_repo2docker(building: ContainerBuilding) -> None:
    """Python repositories get repo2docker's Dockerfile.

    Its base images are not available everywhere: this one does not exist, and the build ends with its name.
    """
    building.builds._base_image = "127.0.0.1:1/base:1"
    files: dict[str, str | bytes] = {"binder/requirements.txt": "six\n", "notebook.ipynb": "{}"}
    failure = building.build(ordered(building.repository(files))).failure
    assert "Using PythonBuildPack builder" in building.queue.text
    assert "FROM 127.0.0.1:1/base:1" in building.queue.text
    assert failure is not None
    assert failure.kind == "BuildFailed"
