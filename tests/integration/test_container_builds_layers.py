"""Layers are kept for the next build of a repository. A repository's layers never get into another repository's image."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from bindery.domain.builds import BuildState
from bindery_builder.images.tool import ContainerTool, Desk
from bindery_builder.process.files import bytes_in
from tests.building import ordered, written
from tests.containers import FROM_NOTHING, ContainerBuilding, image_files, step
from tests.serving.registry import local_registry, what_is_missing


@pytest.fixture
def building(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ContainerBuilding]:
    if missing := what_is_missing():
        pytest.skip(missing)
    with local_registry(tmp_path / "registry") as registry:
        containers = ContainerBuilding(tmp_path, registry, monkeypatch)
        yield containers
        containers.close()


@dataclass(frozen=True)
class Built:
    """The result of a build. log: the tool's output. files: path to content, of the whole image.

    Tests do not look at a step's own output: buildah's chroot isolation ends its relay of that output together with the
    step, and on a busy machine loses the last lines.
    """

    log: str
    files: Mapping[str, bytes]


def built(building: ContainerBuilding, name: str, dockerfile: str, attempt: int = 1) -> Built:
    """Build a repository with its name in the file `words`."""
    repository = building.repository({"Dockerfile": dockerfile, "words": f"said by {name}"}, name)
    before = len(building.queue.text)
    report = building.build(ordered(repository, name, attempt))
    assert report.state is BuildState.SUCCEEDED, building.queue.text
    return Built(building.queue.text[before:], image_files(building, report))


def test_a_layer_is_built_once_for_a_repository(building: ContainerBuilding) -> None:
    dockerfile = FROM_NOTHING + step("echo made here")
    assert "Using cache" not in built(building, "one", dockerfile).log
    assert "Using cache" in built(building, "one", dockerfile, attempt=2).log


def test_a_layer_is_never_shared_with_another_repository(building: ContainerBuilding) -> None:
    dockerfile = FROM_NOTHING + step("echo made here")
    built(building, "one", dockerfile)
    assert "Using cache" not in built(building, "two", dockerfile).log


def test_a_global_argument_of_another_repository_has_no_effect_on_a_layer(building: ContainerBuilding) -> None:
    """A global argument of another repository does not place this repository's files.

    Both Dockerfiles copy an equal file by equal words: the tool does not record the value of DEST with the layer.
    """
    dockerfile = "ARG DEST={}\n" + FROM_NOTHING + "ARG DEST\nCOPY busybox $DEST/words\n"
    assert "stranger/words" in built(building, "one", dockerfile.format("/stranger")).files
    files = built(building, "two", dockerfile.format("/owner")).files
    assert "owner/words" in files
    assert "stranger/words" not in files


def test_the_least_recently_used_storage_is_removed_first(building: ContainerBuilding) -> None:
    for name in ("one", "two"):
        built(building, name, FROM_NOTHING)
    assert building.builds.wait(20)
    tool = building.builds.tool
    _, second = tool.by_last_use()
    tool.tidy(bytes_in(second))
    assert [each.name for each in tool.by_last_use()] == [second.name]


def test_layers_from_mounted_files_are_not_shared_with_another_repository(building: ContainerBuilding) -> None:
    dockerfile = FROM_NOTHING + 'RUN --mount=type=bind,target=/src ["/bin/busybox", "cp", "/src/words", "/copied"]\n'
    for name in ("one", "two"):
        assert built(building, name, dockerfile).files["copied"] == f"said by {name}".encode()


def test_a_cache_mount_is_not_shared_with_another_repository(building: ContainerBuilding) -> None:
    script = "/bin/busybox ls /cache > /found; /bin/busybox cp /bin/busybox /cache/left"
    dockerfile = FROM_NOTHING + step(script).replace("RUN ", "RUN --mount=type=cache,target=/cache ")
    for name in ("one", "two"):
        assert built(building, name, dockerfile).files["found"] == b""


def test_each_attempt_has_its_own_docker_cache_mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ContainerTool, "path", "/usr/bin/docker")
    dockerfile = written(tmp_path, {"Dockerfile": "FROM x"}) / "Dockerfile"
    one, two = (
        ContainerTool("docker", tmp_path).build(tmp_path, dockerfile, {}, Desk(tmp_path / name))
        for name in ("one", "two")
    )
    assert "--build-arg=BUILDKIT_CACHE_MOUNT_NS=one" in one
    assert "--build-arg=BUILDKIT_CACHE_MOUNT_NS=two" in two
