"""CodeBuild's builds with a real docker behind real firewall rules: a step's reach, and the origin of a build's first layers."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bindery.domain.builds import BuildState
from tests.building import written
from tests.codebuilds import CodeBuilding, codebuilding
from tests.containers import FROM_NOTHING, step
from tests.serving.docker_engine import CREDENTIALS, LOOPBACK, MACHINE, DockerEngine, docker_engine, what_is_missing
from tests.serving.machine_aws import CREDENTIALS_PATH, SECRET_KEY, MachineAws

pytestmark = pytest.mark.skipif(bool(what_is_missing()), reason=what_is_missing())
CLOSING = '      - sh "$BINDERY_HOME/builder/python/bindery_builder/codebuild/close.sh"\n'
WORD, PORT = "said by the machine itself", 8099


def asking(path: str, address: str, port: int) -> str:
    """Return the lines of a step that prints a server's answer, or a refusal."""
    request = f"GET {path} HTTP/1.0\\r\\n\\r\\n"
    return f"printf '{request}' | /bin/busybox nc -w 3 {address} {port} || echo refused {address}\n"


ASKING = asking(CREDENTIALS_PATH, CREDENTIALS, 80) + asking("/word", "172.17.0.1", PORT)
FILES = {"Dockerfile": FROM_NOTHING + "COPY ask /\n" + step("/bin/busybox sh /ask"), "ask": ASKING}


@pytest.fixture
def engine() -> Iterator[DockerEngine]:
    with docker_engine() as engine:
        yield engine


@pytest.fixture
def building(tmp_path: Path, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[CodeBuilding]:
    """Yield a build machine. The project's credentials are at CodeBuild's address, and the machine's own at EC2's."""
    with ExitStack() as stack:
        place = tmp_path / "codebuild"
        place.mkdir()
        building = stack.enter_context(
            codebuilding(
                place,
                monkeypatch,
                tool="docker",
                more=engine.environment,
                around=engine.around,
                host=engine.host,
                credentials=(CREDENTIALS, 80),
                firewall=shutil.which("iptables") or "",
            )
        )
        stack.enter_context(MachineAws(building.registry, MACHINE, 80))
        (place / "bin" / "docker").symlink_to(engine.commands / "docker")
        building.gate.open()
        yield building


@pytest.fixture
def _machine_listens(tmp_path: Path, engine: DockerEngine) -> Iterator[None]:
    """Run a server of the machine's own, on all of its addresses."""
    folder = written(tmp_path / "www", {"word": WORD})
    server = subprocess.Popen([*engine.around, "busybox", "httpd", "-f", "-p", str(PORT), "-h", str(folder)])
    yield
    server.terminate()
    server.wait()


@pytest.mark.usefixtures("_machine_listens")
def test_a_step_reaches_neither_credentials_nor_the_machine(building: CodeBuilding) -> None:
    report = building.build(building.order(FILES))
    assert report.state is BuildState.SUCCEEDED, building.queue.text
    assert building.builds.image_exists(report.image)
    assert f" refused {CREDENTIALS}\n" in building.queue.text
    assert " refused 172.17.0.1\n" in building.queue.text
    assert SECRET_KEY not in building.queue.text
    assert WORD not in building.queue.text
    assert "AWS_" not in building.queue.text


@pytest.mark.usefixtures("_machine_listens")
def test_on_a_machine_without_firewall_rules_a_step_reaches_them(building: CodeBuilding) -> None:
    """A step reaches them on an open machine; this shows that the test before can fail."""
    assert CLOSING in building.machine.buildspec
    building.machine.buildspec = building.machine.buildspec.replace(CLOSING, "")
    assert building.build(building.order(FILES)).state is BuildState.SUCCEEDED
    assert SECRET_KEY in building.queue.text
    assert WORD in building.queue.text


@pytest.mark.parametrize("closed", [True, False])
def test_a_dockerfile_cannot_add_the_credentials_of_the_machine(building: CodeBuilding, closed: bool) -> None:
    if not closed:
        building.machine.buildspec = building.machine.buildspec.replace(CLOSING, "")
    text = FROM_NOTHING + f"ADD http://{MACHINE}{CREDENTIALS_PATH} /got\n" + step("cat /got")
    report = building.build(building.order({"Dockerfile": text}))
    assert (report.state is BuildState.FAILED) is closed, building.queue.text
    assert (SECRET_KEY not in building.queue.text) is closed


@pytest.mark.parametrize(("address", "closed"), [(LOOPBACK, True), (LOOPBACK, False), ("0.0.0.0:2375", True)])
def test_the_docker_daemon_is_reachable_by_its_socket_only(
    building: CodeBuilding, engine: DockerEngine, address: str, closed: bool
) -> None:
    """The daemon is reached by its socket alone.

    Neither the daemon, when a Dockerfile makes it fetch a file, nor any program in the machine's network reaches it otherwise.
    """
    if not closed:
        building.machine.buildspec = building.machine.buildspec.replace(CLOSING, "")
    text = FROM_NOTHING + f"ADD http://{address}/version /got\n" + step("/bin/busybox cat /got")
    report = building.build(building.order({"Dockerfile": text}))
    assert (report.state is BuildState.FAILED) is closed, building.queue.text
    assert ("MinAPIVersion" in building.queue.text) is not closed
    asking = [*engine.around, "curl", "--silent", "--max-time", "5", f"http://{address}/version"]
    assert (subprocess.run(asking, stdout=subprocess.DEVNULL).returncode == 0) is not closed


@pytest.mark.usefixtures("_machine_listens")
def test_no_step_runs_in_the_network_of_the_machine(building: CodeBuilding) -> None:
    """No step runs in the machine's network.

    Debian's docker does not know the option yet. Newer ones require the builder's permission, by BuildKit's documentation.
    """
    text = FROM_NOTHING + "COPY ask /\n" + step("/bin/busybox sh /ask").replace("RUN", "RUN --network=host", 1)
    files = {"Dockerfile": text, "ask": asking("/word", "127.0.0.1", PORT)}
    assert building.build(building.order(files)).state is BuildState.FAILED
    assert WORD not in building.queue.text
    refused = ("Unknown flag: network", "network.host is not allowed")
    assert any(words in building.queue.text for words in refused), building.queue.text


def test_a_build_reuses_layers_of_its_own_repository_only(building: CodeBuilding, engine: DockerEngine) -> None:
    text = FROM_NOTHING + step("echo this takes long >&2")
    for environment, attempt, repository in (("one", 1, "ours"), ("one", 2, "ours"), ("other", 1, "theirs")):
        building.queue.messages.clear()
        engine.forget_everything()
        order = building.order({"Dockerfile": text}, environment, attempt, repository=repository)
        assert building.build(order).state is BuildState.SUCCEEDED, building.queue.text
        again = (environment, attempt) == ("one", 2)
        assert ("CACHED" in building.queue.text) is again
        assert ("Layers of an earlier build" in building.queue.text) is again
        assert (" this takes long\n" in building.queue.text) is not again


def test_a_dockerfile_cannot_start_from_an_image_that_only_the_project_may_pull(
    building: CodeBuilding, engine: DockerEngine
) -> None:
    """A Dockerfile cannot begin from an image that only the project may pull.

    The test uses docker's classic builder: the other builder asks a registry for FROM with TLS only.
    """
    building.machine.environment = {**building.machine.environment, "DOCKER_BUILDKIT": "0"}
    assert building.build(building.order({"Dockerfile": FROM_NOTHING}, "one")).state is BuildState.SUCCEEDED
    for attempt in (1, 2):  # the second has a cache to fetch, and so had a login just before
        engine.forget_everything()
        name = f"{building.registry.host}/bindery/sessions:one-1"
        text = f"FROM {name}\n" if attempt == 2 else FROM_NOTHING
        report = building.build(building.order({"Dockerfile": text}, "two", attempt))
    assert "Layers of an earlier build" in building.queue.text
    assert report.state is BuildState.FAILED
    assert "no basic auth credentials" in building.queue.text or "nauthorized" in building.queue.text


def test_a_failing_step_is_reported_with_its_last_output(building: CodeBuilding) -> None:
    order = building.order({"Dockerfile": FROM_NOTHING + step("echo no such package: spam; exit 7")})
    failure = building.build(order).failure
    assert failure is not None
    assert failure.kind == "BuildFailed"
    assert str(failure.facts["step"]).startswith("RUN /bin/busybox sh -c echo no such package")
    assert failure.facts["why"] == "exit status 7: no such package: spam"
