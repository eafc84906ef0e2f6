"""Hostile container builds, and crashes: no build hangs, no leftovers stay, and no credential is within reach."""

import base64
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Self

import pytest

from bindery.domain.builds import BuildState
from bindery.domain.errors import BuildCrashed, BuildFailed, BuildTooLong
from bindery.domain.failure import Failure
from tests.building import ordered
from tests.containers import FROM_NOTHING, ContainerBuilding, Held, processes_of, step
from tests.serving.registry import PASSWORD, USER, LocalRegistry, local_registry, what_is_missing
from tests.serving.tool_storage import unmount

pytestmark = pytest.mark.skipif(bool(what_is_missing()), reason=what_is_missing())
STOPPED = Failure.of(BuildFailed(step="build", why="it was stopped"))
SECRETS = (PASSWORD, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[LocalRegistry]:
    with local_registry(tmp_path / "registry", locked=True) as registry:
        yield registry


def containers(building: ContainerBuilding) -> str:
    """Return the ids of the containers that are in any storage of the tool."""
    tools = [building.builds.tool.within(each.name) for each in building.builds.tool.storages.iterdir()]
    return "".join(
        subprocess.check_output(
            ["buildah", "--root", str(tool.storage), "--runroot", str(tool.run_root), "containers", "--quiet"],
            text=True,
        )
        for tool in tools
    )


class CommandLines:
    """A watcher that collects every command line of all processes."""

    def __init__(self) -> None:
        self.command_lines: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.is_set():
            for process in Path("/proc").iterdir():
                if process.name.isdecimal():
                    try:
                        self.command_lines.add(
                            (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                        )
                    except OSError:
                        continue


def files_with_secrets(folder: Path) -> list[Path]:
    """Return the files that contain a secret. Links are not followed; files that disappear meanwhile are ignored."""
    paths = []
    for inner, _, names in os.walk(folder):
        for path in (Path(inner, name) for name in names):
            try:
                content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            except OSError:
                continue
            if any(secret.encode() in content for secret in SECRETS):
                paths.append(path)
    return paths


def test_credentials_are_in_no_file_command_line_or_log_line_of_a_build(
    building: ContainerBuilding, holding: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BINDERY_REGISTRY_PASSWORD", PASSWORD)
    monkeypatch.setenv("REGISTRY_AUTH_FILE", "/nowhere")
    text = FROM_NOTHING + step("env; cat /proc/self/environ") + holding.step
    order = ordered(building.repository({"Dockerfile": text}), scope="tree")
    with CommandLines() as lines:
        building.builds.start(order)
        with holding.wait():
            assert files_with_secrets(building.home) == []
        report = building.wait(order)
    assert report.state is BuildState.SUCCEEDED, (report, building.queue.text)
    assert any(f"docker://{building.registry.host}/" in line for line in lines.command_lines)
    assert not [line for line in lines.command_lines if any(secret in line for secret in SECRETS)]
    assert not any(secret in building.queue.text for secret in SECRETS)
    assert "REGISTRY" not in building.queue.text
    assert files_with_secrets(building.home) == []
    assert building.builds.image_exists(report.image)


def test_wrong_credentials_are_reported_with_the_error_of_the_registry(
    tmp_path: Path, registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.password = "wrong"
    with closing(ContainerBuilding(tmp_path, registry, monkeypatch)) as building:
        failure = building.build(ordered(building.repository({"Dockerfile": FROM_NOTHING}), scope="tree")).failure
    assert failure is not None
    assert failure.kind == "PushFailed"
    assert "unauthorized" in str(failure.facts["why"])


@pytest.mark.parametrize("name", ["Dockerfile", ".dockerignore", "Dockerfile.dockerignore", "requirements.txt"])
def test_a_configuration_file_that_links_outside_the_repository_is_refused(
    building: ContainerBuilding, name: str
) -> None:
    folder = building.repository({} if name in ("Dockerfile", "requirements.txt") else {"Dockerfile": FROM_NOTHING})
    (folder / name).symlink_to("/etc/passwd")
    failure = building.build(ordered(folder, scope="tree")).failure
    assert failure is not None
    assert (failure.kind, name in str(failure.facts["why"])) == ("RepositoryUnusable", True)


def test_a_link_in_the_repository_cannot_copy_files_of_the_machine(building: ContainerBuilding) -> None:
    folder = building.repository({"Dockerfile": FROM_NOTHING + "COPY leak /leak\n" + step("cat /leak")})
    (folder / "leak").symlink_to(building.folder / "private")
    (building.folder / "private").write_text("private words")
    assert building.build(ordered(folder, scope="tree")).state is BuildState.FAILED
    assert "private words" not in building.queue.text


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Path]:
    """Yield the storage of the person that owns this machine."""
    yield tmp_path / "other"
    unmount(tmp_path / "other")


@pytest.mark.parametrize("where", ["dir:{0}", "containers-storage:[overlay@{1}+{2}]localhost/private"])
def test_an_image_of_the_machine_itself_is_refused(building: ContainerBuilding, storage: Path, where: str) -> None:
    roots = [str(storage), str(building.folder / "run")]
    buildah = ["buildah", "--root", roots[0], "--runroot", roots[1]]
    (building.folder / "Private").write_text(FROM_NOTHING)
    context = building.repository({}, "private")
    tool = ["--file", str(building.folder / "Private"), "--tag", "localhost/private", str(context)]
    subprocess.run([*buildah, "build", *tool], check=True, capture_output=True)
    subprocess.run(
        [*buildah, "push", "localhost/private", f"dir:{building.folder}/image"], check=True, capture_output=True
    )
    text = f"FROM {where.format(building.folder / 'image', *roots)}\n" + step("echo got it")
    report = building.build(ordered(building.repository({"Dockerfile": text}), scope="tree"))
    assert report.failure is not None
    assert "Source image rejected" in str(report.failure.facts["why"])
    assert "\ngot it\n" not in building.queue.text


def test_an_environment_key_is_never_read_as_an_option(building: ContainerBuilding) -> None:
    order = ordered(building.repository({"Dockerfile": FROM_NOTHING}), "--tls-verify=false", scope="tree")
    building.builds.start(order)
    building.queue.wait(lambda: bool(building.queue.ended))
    assert building.registry.ask("GET", "bindery/sessions/tags/list").json()["tags"]


def test_an_endless_step_is_ended_at_its_limit(building: ContainerBuilding, holding: Held) -> None:
    order = ordered(building.repository({"Dockerfile": FROM_NOTHING + holding.step}), scope="tree", seconds=3)
    began = time.monotonic()
    assert building.build(order).failure == Failure.of(BuildTooLong(minutes=1))
    assert time.monotonic() - began < 20
    assert building.builds.wait(20)
    assert processes_of(building, holding) == []
    assert containers(building) == ""
    assert list((building.home / "containers" / "store").iterdir()) == []


def test_stopping_a_build_ends_its_running_step(building: ContainerBuilding, holding: Held) -> None:
    order = ordered(building.repository({"Dockerfile": FROM_NOTHING + holding.step}), scope="tree")
    handle = building.builds.start(order)
    with holding.wait():
        building.builds.stop(handle)
        assert building.wait(order).failure == STOPPED
    assert building.builds.wait(20)
    assert processes_of(building, holding) == []
    assert containers(building) == ""


def test_background_processes_of_a_step_are_ended(building: ContainerBuilding, holding: Held) -> None:
    text = FROM_NOTHING + holding.step.replace("; echo let go", " &").replace("echo holding; ", "")
    report = building.build(ordered(building.repository({"Dockerfile": text}), scope="tree"))
    assert report.state is BuildState.SUCCEEDED, building.queue.text
    assert building.builds.wait(20)
    assert processes_of(building, holding) == []


CONTROL_PLANE = """
import sys, time
from pathlib import Path
import pytest
from tests.building import ordered
from tests.containers import ContainerBuilding
folder, host, repository = sys.argv[1:]
class There:
    user = password = ""
    address = f"http://{host}/bindery"
building = ContainerBuilding(Path(folder), There(), pytest.MonkeyPatch())
building.builds.start(ordered(Path(repository), scope="tree"))
time.sleep(600)
"""


def test_remains_of_a_killed_control_plane_are_removed_and_the_build_can_be_repeated(
    building: ContainerBuilding, holding: Held
) -> None:
    folder = building.repository({"Dockerfile": FROM_NOTHING + holding.step})
    words = [str(building.folder), building.registry.host, str(folder)]
    path = os.pathsep.join(path for path in sys.path if path)
    process = subprocess.Popen([sys.executable, "-c", CONTROL_PLANE, *words], env={**os.environ, "PYTHONPATH": path})
    connection = holding.wait()
    assert building.builds.status("env-1").state is BuildState.RUNNING
    process.send_signal(signal.SIGKILL)
    process.wait()
    building.builds.recover()
    assert building.builds.status("env-1").failure == Failure.of(BuildCrashed())
    assert processes_of(building, holding) == []
    assert containers(building) == ""
    connection.close()
    order = ordered(folder, attempt=2, scope="tree")
    building.builds.start(order)
    holding.wait().close()
    assert building.wait(order).state is BuildState.SUCCEEDED
