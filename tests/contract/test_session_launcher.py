"""The session launcher's contract, on real JupyterLab servers as processes and as Pods of a real cluster, and on the fake."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bindery.adapters.clock import SystemClock
from bindery.domain.errors import ImageGone
from bindery.domain.sessions import Liveness, SessionOrder
from bindery.ports.clock import Clock
from bindery.ports.session_launcher import SessionLauncher
from bindery_local.sessions.launcher import ProcessSessions
from tests.cluster.shipped import Shipped
from tests.fakes.clock import FakeClock
from tests.fakes.sessions import FakeSessions
from tests.serving.lab import TOKEN, LabEnvironment, WrittenContents, hold, lab_python, lab_server, order_of

ENOUGH = 60.0  # seconds for a server to come up on a busy machine


@dataclass(frozen=True)
class World:
    """A launcher, and a test's actions on its sessions. die: ends the session's server from outside.

    image: an image that exists. gone: an image that does not exist.
    notes: the notes of its content; a Pod's notes came when its image was built.
    """

    launcher: SessionLauncher
    clock: Clock
    die: Callable[[str], None]
    image: str = "uv/one"
    gone: str = "uv/gone"
    notes: tuple[str, ...] = ("large files are missing",)

    def order(self, session: str) -> SessionOrder:
        """Return an order for a session of the existing image."""
        return order_of(session, image=self.image)

    def ready(self, session: str) -> str:
        """Start a session and wait for it; return its address."""
        self.launcher.start(self.order(session))
        report = self.launcher.wait(session, TOKEN, ENOUGH)
        assert report.liveness is Liveness.READY, report
        return report.url


@contextmanager
def _fake() -> Iterator[World]:
    clock = FakeClock()
    launcher = FakeSessions(clock, gone={"uv/gone"}, notes=("large files are missing",))
    yield World(launcher, clock, launcher.die)


@contextmanager
def _process(home: Path, python: Path) -> Iterator[World]:
    launcher = ProcessSessions(
        home,
        WrittenContents({"README.md": "hello"}, notes=("large files are missing",)),
        SystemClock(),
        find_environment=lambda image: None if image == "uv/gone" else LabEnvironment(python),
        hold_environment=lambda _image: hold(home / "lock"),
    )

    def die(session: str) -> None:
        record = launcher._folder(session).record()
        assert record
        os.kill(lab_server(record.process).pid, signal.SIGKILL)

    yield World(launcher, SystemClock(), die)
    launcher.stop_all()
    launcher.close()


@contextmanager
def _kubernetes(shipped: Shipped) -> Iterator[World]:
    with shipped.sessions() as launcher:
        cluster = shipped.cluster
        yield World(launcher, SystemClock(), shipped.kill, cluster.base_image, f"{cluster.registry}/gone:1", notes=())


@pytest.fixture(params=["fake", "process", "kubernetes"])
def world(request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    match request.param:
        case "fake":
            chosen = _fake()
        case "process":
            chosen = _process(tmp_path, lab_python(tmp_path_factory.getbasetemp()))
        case _:
            chosen = _kubernetes(request.getfixturevalue("shipped"))
    with chosen as world:
        yield world


def test_a_session_becomes_ready_at_an_address_with_a_trailing_slash(world: World) -> None:
    assert world.ready("one").endswith("/")


def test_a_ready_report_has_the_notes_of_the_content(world: World) -> None:
    world.ready("one")
    assert world.launcher.wait("one", TOKEN, 1).notes == world.notes


def test_a_session_that_does_not_answer_yet_is_starting(world: World) -> None:
    if isinstance(world.launcher, FakeSessions):
        world.launcher.looks = 1
    world.launcher.start(world.order("one"))
    assert world.launcher.wait("one", TOKEN, 0).liveness is Liveness.STARTING
    assert world.launcher.wait("one", TOKEN, ENOUGH).liveness is Liveness.READY


def test_a_repeated_start_leaves_a_session_unchanged(world: World) -> None:
    url = world.ready("one")
    world.launcher.start(world.order("one"))
    assert world.launcher.wait("one", TOKEN, 1).url == url
    assert [each.id for each in world.launcher.list_sessions()] == ["one"]


def test_a_session_never_started_is_gone(world: World) -> None:
    assert world.launcher.wait("never", TOKEN, 5).liveness is Liveness.GONE


def test_a_session_whose_server_ended_is_gone_with_a_reason(world: World) -> None:
    world.ready("one")
    world.die("one")
    report = world.launcher.wait("one", TOKEN, ENOUGH)
    while report.liveness is Liveness.READY:  # its last moments
        report = world.launcher.wait("one", TOKEN, ENOUGH)
    assert report.liveness is Liveness.GONE
    assert report.why
    assert TOKEN not in report.why


def test_a_session_whose_server_ended_is_listed_as_not_alive_until_it_is_stopped(world: World) -> None:
    world.ready("one")
    world.ready("two")
    world.die("one")
    end = time.monotonic() + ENOUGH
    while world.launcher.wait("one", TOKEN, 0).liveness is not Liveness.GONE:
        assert time.monotonic() < end
    assert {each.id: each.alive for each in world.launcher.list_sessions()} == {"one": False, "two": True}
    world.launcher.stop("one")
    assert [each.id for each in world.launcher.list_sessions()] == ["two"]


def test_a_session_whose_server_ended_can_be_started_again(world: World) -> None:
    world.ready("one")
    world.die("one")
    end = time.monotonic() + ENOUGH
    while world.launcher.wait("one", TOKEN, 0).liveness is not Liveness.GONE:
        assert time.monotonic() < end
    world.ready("one")


def test_a_stopped_session_leaves_no_objects(world: World) -> None:
    world.ready("one")
    world.ready("two")
    world.launcher.stop("one")
    assert [each.id for each in world.launcher.list_sessions()] == ["two"]
    assert world.launcher.wait("one", TOKEN, 5).liveness is Liveness.GONE


def test_stopping_an_absent_session_is_no_error(world: World) -> None:
    world.launcher.stop("never")
    world.ready("one")
    world.launcher.stop("one")
    world.launcher.stop("one")
    assert world.launcher.list_sessions() == []


def test_a_starting_session_can_be_stopped(world: World) -> None:
    world.launcher.start(world.order("one"))
    world.launcher.stop("one")
    assert world.launcher.list_sessions() == []


def test_listed_sessions_have_their_start_time(world: World) -> None:
    before = world.clock.now()
    world.ready("one")
    (session_object,) = world.launcher.list_sessions()
    assert int(before) <= session_object.started <= world.clock.now()


def test_activity_reports_when_a_server_was_last_active(world: World) -> None:
    before = world.clock.now()
    url = world.ready("one")
    answer = world.launcher.activity({"one": (url, TOKEN)}, 10)["one"]
    assert answer
    assert before <= answer.last <= world.clock.now()
    assert not answer.busy


def test_activity_reports_servers_that_do_not_answer(world: World) -> None:
    url = world.ready("one")
    there, gone = world.ready("two"), world.ready("three")
    world.launcher.stop("three")
    answers = world.launcher.activity(
        {"one": (url, "not the token of this session"), "two": (there, TOKEN), "three": (gone, TOKEN)}, 10
    )
    assert set(answers) == {"one", "two", "three"}
    assert [session for session, answer in answers.items() if answer] == ["two"]


def test_no_server_is_queried_without_time_left(world: World) -> None:
    assert world.launcher.activity({"one": (world.ready("one"), TOKEN)}, 0) == {}


def test_activity_of_no_sessions_is_empty(world: World) -> None:
    assert world.launcher.activity({}, 10) == {}


def test_a_missing_image_is_reported(world: World) -> None:
    def begin() -> None:
        world.launcher.start(order_of("one", image=world.gone))
        report = world.launcher.wait("one", TOKEN, ENOUGH)
        while report.liveness is Liveness.STARTING:
            report = world.launcher.wait("one", TOKEN, ENOUGH)
        raise report.trouble or AssertionError(report)

    with pytest.raises(ImageGone) as error:
        begin()
    assert error.value.facts == {"image": world.gone}
    assert not any(each.alive for each in world.launcher.list_sessions())
    assert world.launcher.wait("one", TOKEN, 0).liveness is Liveness.GONE
