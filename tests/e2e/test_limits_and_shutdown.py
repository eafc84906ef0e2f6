"""Tests of limits and of Bindery's end. No session outlives its limits, and no remains stay after any kind of end."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.serving.gate import Gate
from tests.serving.git_http import GitServer, make_repository
from tests.serving.kernel import Session
from tests.serving.runtime import LocalRuntime, until

Spec = Callable[..., str]
# A process that leaves its group and its parents, as a careless start script may.
DETACHED = "import subprocess; subprocess.Popen(['sleep', '1000'], start_new_session=True)"
COUNTED = ("_total", "_count", "_sum", "_bucket")


def test_an_idle_session_ends_and_a_silently_computing_one_does_not(
    home: Path, git_server: GitServer, plain: str, gate: Gate
) -> None:
    settings = {"idle_seconds": 4, "cull_seconds": 0.5, "reconcile_seconds": 1}
    with LocalRuntime(home, allowed_private_hosts=git_server.address, settings=settings) as bindery:
        launched = bindery.launch(plain)
        silent = Session.of(launched.last.data)
        silent.leave_running(gate.code)
        start = time.monotonic()
        token = bindery.token(f"git/{plain}", jti="idle")
        idle = Session.of(bindery.launch(plain, build_token=token).last.data)
        idle.run(DETACHED)
        folders = bindery.session_folders()
        until(lambda: len(bindery.session_folders()) == 1)
        assert not idle.answers()
        assert set(bindery.session_folders()) < set(folders)
        assert all(bindery.session_folders()[0] in line for line in bindery.session_marks())
        ended = bindery.launch(plain, build_token=token)
        assert ended.last.phase == "failed"
        assert "nothing happened in it" in ended.last.message
        until(lambda: time.monotonic() > start + 9)  # twice the limit since the last sign of it
        assert silent.answers()
        gate.open()
        until(lambda: not bindery.sessions() and not bindery.session_folders())


def test_a_session_over_its_maximum_age_ends_even_if_busy(
    home: Path, git_server: GitServer, plain: str, gate: Gate
) -> None:
    settings = {"max_age_seconds": 20, "cull_seconds": 0.5, "idle_seconds": 0}  # a kernel may take ten seconds to start
    with LocalRuntime(home, allowed_private_hosts=git_server.address, settings=settings) as bindery:
        token = bindery.token(f"git/{plain}", jti="old")
        session = Session.of(bindery.launch(plain, build_token=token).last.data)
        session.leave_running(gate.code)
        until(lambda: not bindery.sessions() and not bindery.session_folders())
        assert "old" in bindery.launch(plain, build_token=token).last.message


def test_sigterm_ends_bindery_with_all_sessions_and_builds(
    home: Path, git_server: GitServer, spec_of: Spec, plain: str, gate: Gate
) -> None:
    script = gate.post_build("setsid sleep 1000 &\necho begun")
    make_repository(git_server.root / "stopped.git", {"postBuild": script})
    with LocalRuntime(home, allowed_private_hosts=git_server.address) as bindery:
        Session.of(bindery.launch(plain).last.data).run(DETACHED)
        with bindery.stream(spec_of("stopped.git")) as watching:
            assert any(event.message == "begun\n" for event in watching.listen())
            assert bindery.sessions()
            assert bindery.builds()
            assert bindery.stop() == 0
        check_nothing_left(bindery)


def test_an_interrupt_during_a_session_start_leaves_no_process_or_file(
    home: Path, git_server: GitServer, plain: str
) -> None:
    with LocalRuntime(home, allowed_private_hosts=git_server.address) as bindery:
        assert bindery.launch(plain, build_only="true").last.phase == "ready"
        with bindery.stream(plain) as starting:
            starting.wait_for("launching")
            assert bindery.stop(signal.SIGINT) == 0
        check_nothing_left(bindery)
        assert bindery.errors.read_text() == ""


def check_nothing_left(bindery: LocalRuntime) -> None:
    assert bindery.processes() == {}
    assert bindery.session_folders() == []


def test_a_crash_ends_orphans_keeps_environments_and_resumes_the_launch(
    home: Path, git_server: GitServer, spec_of: Spec, plain: str, gate: Gate
) -> None:
    make_repository(git_server.root / "crash.git", {"postBuild": gate.post_build("echo begun")})
    spec = spec_of("crash.git")
    with LocalRuntime(home, allowed_private_hosts=git_server.address, settings={"reconcile_seconds": 1}) as bindery:
        ready_token = bindery.token(f"git/{plain}", jti="ready before")
        session = Session.of(bindery.launch(plain, build_token=ready_token).last.data)
        session.run(DETACHED)
        token = bindery.token(f"git/{spec}", jti="under way")
        with bindery.stream(spec, build_token=token, build_only="true") as building:
            assert any(event.message == "begun\n" for event in building.listen())
        until(lambda: bindery.total("binderhub_launch_count_total") == 1)
        launches = counters(bindery, "binderhub_launch")
        bindery.kill9()
        assert session.answers()
        orphans = bindery.processes()
        assert bindery.sessions()

        bindery.start()
        assert not session.answers()
        assert not orphans.keys() & bindery.processes().keys()
        assert bindery.session_folders() == []
        assert counters(bindery, "binderhub_launch") == launches
        ended = bindery.launch(plain, build_token=ready_token)
        assert "Bindery was started again" in ended.last.message
        gate.open()
        assert bindery.launch(spec, build_token=token).last.phase == "ready"
        assert bindery.launch(plain).phases == ["built", "launching", "ready"]

        until(lambda: bindery.total("binderhub_launch_count_total") == 3)
        counted = counters(bindery)
        assert bindery.stop() == 0
        bindery.start()
        assert counters(bindery) == counted
        assert bindery.total("bindery_sessions") == 0
        assert bindery.launch(plain, build_only="true").phases == ["built", "ready"]


def counters(bindery: LocalRuntime, begins: str = "") -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return all values that `/metrics` counts. Leave out those that go up and down."""
    return {
        key: value for key, value in bindery.metrics().items() if key[0].endswith(COUNTED) and key[0].startswith(begins)
    }


def test_a_second_bindery_does_not_use_the_home_of_the_first(bindery: LocalRuntime) -> None:
    second = LocalRuntime(bindery.home)
    with pytest.raises(AssertionError, match="Another Bindery is running"):
        second.start()
    second.give_up()
    assert bindery.get("/health").status_code == 200


def test_an_invalid_setting_is_named(home: Path) -> None:
    wrong = LocalRuntime(home, idle_seconds="soon")
    with pytest.raises(AssertionError, match="BINDERY_IDLE_SECONDS"):
        wrong.start()
    wrong.give_up()
