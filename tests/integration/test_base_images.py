"""Base images of builds: they are pulled before the build's own steps, with a login that is removed afterwards.

After a refusal because of too many pulls, they are pulled again.
"""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bindery.domain.builds import BuildState
from bindery.domain.errors import BuildServiceDown
from bindery_builder.build_log import BuildLog
from bindery_builder.images.base_images import BaseImages
from bindery_builder.images.pull_logins import PullLogin
from bindery_builder.images.tool import ContainerTool, Desk
from bindery_builder.process.runner import Room, Runner
from tests.building import RecordingQueue, ordered
from tests.containers import FROM_NOTHING, ContainerBuilding, Held, configure, step
from tests.serving.registry import PASSWORD, USER, local_registry, what_is_missing

pytestmark = pytest.mark.skipif(bool(what_is_missing()), reason=what_is_missing())


@pytest.fixture
def building(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ContainerBuilding]:
    """Yield an engine with a registry that requires a login for all requests, and holds one image."""
    with local_registry(tmp_path / "registry", locked=True) as registry:
        building = ContainerBuilding(tmp_path, registry, monkeypatch)
        configure(tmp_path, monkeypatch, registry.host)
        report = building.build(
            ordered(building.repository({"Dockerfile": FROM_NOTHING}, "base"), "base", scope="tree")
        )
        assert report.state is BuildState.SUCCEEDED, building.queue.text
        building.queue.messages.clear()
        yield building
        building.close()


def login(building: ContainerBuilding, *, only_public: bool) -> PullLogin:
    host = building.registry.host
    return PullLogin(host, lambda: (USER, PASSWORD), only_public=only_public, address=f"http://{host}")


def image(building: ContainerBuilding) -> str:
    return f"{building.registry.host}/bindery/sessions:base-1"


def test_an_image_is_pulled_with_the_login_which_is_removed_before_the_first_step(
    building: ContainerBuilding, holding: Held
) -> None:
    building.builds._logins = [login(building, only_public=True)]
    files: dict[str, str | bytes] = {"Dockerfile": f"FROM {image(building)}\n" + holding.step}
    order = ordered(building.repository(files), scope="tree")
    building.builds.start(order)
    with holding.wait():
        logins = list(building.home.rglob("login/config.json"))
        assert [file.read_text() for file in logins] == ["{}"]
    report = building.wait(order)
    assert report.state is BuildState.SUCCEEDED, building.queue.text
    assert PASSWORD not in building.queue.text


def test_an_image_that_needs_the_operators_rights_is_not_pulled(building: ContainerBuilding) -> None:
    building.builds._logins = [login(building, only_public=False)]
    files: dict[str, str | bytes] = {"Dockerfile": f"FROM {image(building)}\n" + step("echo ran")}
    report = building.build(ordered(building.repository(files), scope="tree"))
    assert report.state is BuildState.FAILED
    assert "\nran\n" not in building.queue.text


class Tool(ContainerTool):
    """A tool that prints one of `answers` for each pull and fails; an empty answer is a success. logins: the login at each pull."""

    def __init__(self, folder: Path, *answers: str) -> None:
        super().__init__("docker", folder)
        self.answers, self.logins = list(answers), list[str]()

    def find(self, name: str) -> list[str]:
        return ["false"]

    def pull_base(self, name: str, desk: Desk) -> list[str]:
        self.logins.append(desk.login.read_text())
        answer = self.answers.pop(0)
        return ["sh", "-c", f"echo '{answer}'; exit 1"] if answer else ["true"]


LIMITED = "toomanyrequests: You have reached your unauthenticated pull rate limit."


def pulling(folder: Path, *answers: str, stopped: bool = False) -> tuple[Tool, RecordingQueue]:
    """Fetch one image. Raise the errors of BaseImages."""
    (folder / "Dockerfile").write_text("FROM someone/image:1\n")
    desk, queue, stop = Desk(folder / "desk"), RecordingQueue(), threading.Event()
    desk.prepare()
    log = BuildLog(queue, "key", 1, every=0)
    runner = Runner({"PATH": "/usr/bin:/bin"}, float("inf"), stop, log, Room(folder, 10**9))
    tool = Tool(folder, *answers)
    hub = PullLogin("docker.io", lambda: ("us", "token"), only_public=True)
    BaseImages(tool, runner, desk, [hub], pauses=(0.01, 0.01)).fetch(folder / "Dockerfile", folder)
    log.close()
    assert desk.login.read_text() == "{}"
    return tool, queue


@pytest.mark.parametrize("words", [LIMITED, "received unexpected HTTP status: 429 Too Many Requests", "Rate exceeded"])
def test_a_rate_limited_pull_is_tried_three_times(tmp_path: Path, words: str) -> None:
    tool, queue = pulling(tmp_path, words, words, "")
    assert len(tool.logins) == 3
    assert all("index.docker.io" in used for used in tool.logins)
    assert queue.text.count("trying again") == 2


def test_a_long_rate_limit_of_pulls_is_a_fault_of_the_build_service(tmp_path: Path) -> None:
    with pytest.raises(BuildServiceDown, match=r"docker\.io limits how often images are pulled"):
        pulling(tmp_path, LIMITED, LIMITED, LIMITED)
    assert (tmp_path / "desk" / "login" / "config.json").read_text() == "{}"


@pytest.mark.parametrize("words", ["manifest unknown", "denied: requested access to the resource is denied"])
def test_a_missing_image_is_left_to_the_error_of_the_build(tmp_path: Path, words: str) -> None:
    tool, _ = pulling(tmp_path, words)
    assert len(tool.logins) == 1
