"""The files that the real repo2docker writes for repositories without a Dockerfile. The test does not need its base images."""

import os
import threading
import time
from pathlib import Path

import pytest

from bindery.domain.errors import BuildFailed, CannotBuild
from bindery_builder.build_log import BuildLog
from bindery_builder.images.context import PACKAGE, Context, prepared
from bindery_builder.images.tool import ContainerTool, Desk
from bindery_builder.process.runner import Growth, Runner
from tests.building import RecordingQueue, written

DEFAULT_BASE = "FROM docker.io/library/buildpack-deps:24.04"


def context_of(folder: Path, files: dict[str, str | bytes], base_image: str = "") -> tuple[Context, str]:
    """Return the build context and the Dockerfile's text."""
    tool, desk = ContainerTool("buildah", folder / "containers"), Desk(folder / "attempt")
    desk.prepare()
    log = BuildLog(RecordingQueue(), "env", 1)
    environment = tool.environment(os.environ, desk)
    runner = Runner(environment, time.monotonic() + 60, threading.Event(), log, Growth(folder, 10**10))
    content = written(desk.folder / "content", files)
    context = prepared(content, desk.folder / "context", runner, base_image)
    return context, context.dockerfile.read_text()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"requirements.txt": "six\n"}, 'pip install --no-cache-dir -r "requirements.txt"'),
        ({"binder/requirements.txt": "six\n"}, 'pip install --no-cache-dir -r "binder/requirements.txt"'),
        ({"environment.yml": "dependencies: [numpy]\n"}, "environment.yml"),
        ({"environment.yaml": "dependencies: [numpy]\n"}, "environment.yaml"),
        ({"apt.txt": "vim\n"}, "apt-get install --yes --no-install-recommends vim"),
        ({"postBuild": "true\n"}, "RUN ./postBuild"),
        ({"default.nix": "{}\n"}, "nix-shell"),
        ({"start": "true\n"}, 'ENV R2D_ENTRYPOINT="${REPO_DIR}/start"'),
        ({"README.md": "nothing else\n"}, "mamba"),
    ],
)
def test_each_configuration_file_adds_its_part_to_the_dockerfile(
    tmp_path: Path, files: dict[str, str | bytes], words: str
) -> None:
    context, text = context_of(tmp_path, files)
    assert DEFAULT_BASE in text
    assert words in text
    (name, *_) = files
    assert (context.folder / "src" / name).read_bytes() == str(files[name]).encode()
    assert os.access(context.folder / "repo2docker-entrypoint", os.X_OK)


def test_a_dockerfile_in_the_root_is_ignored_if_there_is_a_binder_folder(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"binder/requirements.txt": "six\n"}
    _, text = context_of(tmp_path / "without", files)
    _, beside = context_of(tmp_path / "beside", {**files, "Dockerfile": "FROM andrewosh/binder-base\n"})
    assert beside == text


def test_the_base_image_can_be_configured(tmp_path: Path) -> None:
    _, text = context_of(tmp_path, {"requirements.txt": ""}, "registry.example.org/base@sha256:abc")
    assert "FROM registry.example.org/base@sha256:abc" in text


def test_the_git_folder_is_copied_into_the_image_and_ignored_files_are_not(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {".git/HEAD": "x", ".dockerignore": "# no\n/data\n!data/kept\n"}
    context, text = context_of(tmp_path, files)
    assert (context.folder / "src/.git/HEAD").exists()
    assert (context.folder / ".dockerignore").read_text() == "src/data\n!src/data/kept\n"
    assert "COPY --chown=1000:1000 src/ ${REPO_DIR}/" in text


def test_all_files_that_the_dockerfile_copies_exist(tmp_path: Path) -> None:
    context, text = context_of(tmp_path, {"environment.yml": "dependencies: [numpy]\n", "runtime.txt": "python-3.11"})
    copied = [line.split() for line in text.splitlines() if line.startswith("COPY")]
    sources = [word for words in copied for word in words[1:-1] if not word.startswith("--")]
    assert len(sources) > 5
    assert [source for source in sources if not (context.folder / source.lstrip("/")).exists()] == []


@pytest.mark.parametrize("files", [{"apt.txt": "&& curl\n"}, {"environment.yml": "[:"}])
def test_a_refusal_of_repo2docker_is_a_failure_of_the_repository(tmp_path: Path, files: dict[str, str | bytes]) -> None:
    with pytest.raises(BuildFailed) as failure:
        context_of(tmp_path, files)
    assert failure.value.facts["step"] in files
    assert failure.value.facts["why"]


def test_a_missing_repo2docker_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bindery_builder.images.context.repo2docker_version", lambda: "")
    with pytest.raises(CannotBuild) as cannot:
        context_of(tmp_path, {"requirements.txt": ""})
    assert (cannot.value.facts["file"], PACKAGE in str(cannot.value.facts["install"])) == ("requirements.txt", True)
