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


def test_a_layer_is_made_once_for_a_repository(building: ContainerBuilding) -> None:
    dockerfile = FROM_NOTHING + step("echo made here")
    assert "Using cache" not in built(building, "one", dockerfile).log
    assert "Using cache" in built(building, "one", dockerfile, attempt=2).log


def test_another_repository_makes_the_same_layer_anew(building: ContainerBuilding) -> None:
    dockerfile = FROM_NOTHING + step("echo made here")
    built(building, "one", dockerfile)
    assert "Using cache" not in built(building, "two", dockerfile).log


def test_a_global_argument_of_another_repository_does_not_place_one_s_files(building: ContainerBuilding) -> None:
    """A global argument of another repository does not place this repository's files.

    Both Dockerfiles copy an equal file by equal words: the tool does not record the value of DEST with the layer.
    """
    dockerfile = "ARG DEST={}\n" + FROM_NOTHING + "ARG DEST\nCOPY busybox $DEST/words\n"
    assert "stranger/words" in built(building, "one", dockerfile.format("/stranger")).files
    files = built(building, "two", dockerfile.format("/owner")).files
    assert "owner/words" in files
    assert "stranger/words" not in files


def test_the_storage_that_was_used_least_recently_goes_first(building: ContainerBuilding) -> None:
    for name in ("one", "two"):
        built(building, name, FROM_NOTHING)
    assert building.builds.wait(20)
    tool = building.builds.tool
    _, second = tool.by_last_use()
    tool.tidy(bytes_in(second))
    assert [each.name for each in tool.by_last_use()] == [second.name]


def test_what_another_repository_s_mounted_files_made_is_not_taken_for_one_s_own(building: ContainerBuilding) -> None:
    dockerfile = FROM_NOTHING + 'RUN --mount=type=bind,target=/src ["/bin/busybox", "cp", "/src/words", "/copied"]\n'
    for name in ("one", "two"):
        assert built(building, name, dockerfile).files["copied"] == f"said by {name}".encode()


def test_what_another_repository_left_in_a_cache_is_not_found(building: ContainerBuilding) -> None:
    script = "/bin/busybox ls /cache > /found; /bin/busybox cp /bin/busybox /cache/left"
    dockerfile = FROM_NOTHING + step(script).replace("RUN ", "RUN --mount=type=cache,target=/cache ")
    for name in ("one", "two"):
        assert built(building, name, dockerfile).files["found"] == b""


def test_docker_gives_each_attempt_caches_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ContainerTool, "path", "/usr/bin/docker")
    dockerfile = written(tmp_path, {"Dockerfile": "FROM x"}) / "Dockerfile"
    one, two = (
        ContainerTool("docker", tmp_path).build(tmp_path, dockerfile, {}, Desk(tmp_path / name))
        for name in ("one", "two")
    )
    assert "--build-arg=BUILDKIT_CACHE_MOUNT_NS=one" in one
    assert "--build-arg=BUILDKIT_CACHE_MOUNT_NS=two" in two
