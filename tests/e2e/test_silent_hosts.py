"""Tests of a git host that goes silent during a transfer. It costs only the visitor of that repository, and only for
a while.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.serving.git_http import GitServer, make_repository
from tests.serving.leftovers import check_at_rest
from tests.serving.messages import check_readable
from tests.serving.runtime import LocalRuntime, until

MOST_SECONDS = 60.0  # a host may be silent for ten seconds; the rest covers delays of this machine
SETTINGS = {"reconcile_seconds": 1}


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[GitServer]:
    """Provide a host of two repositories. It goes silent when content of `silent.git` is fetched, until it is well."""
    (tmp_path / "silent").mkdir()
    with GitServer(tmp_path / "silent") as server:
        make_repository(server.root / "silent.git", {"README.md": "silent\n", "data": "0123456789" * 10_000})
        make_repository(server.root / "other.git", {"README.md": "other\n"})
        server.halves.add("/silent.git")
        yield server


def spec(server: GitServer, name: str) -> str:
    return f"{quote(server.url(name), safe='')}/HEAD"


def get_well(server: GitServer) -> None:
    server.halves.clear()
    server.well.set()


def test_a_build_with_a_silent_host_fails_soon_and_delays_no_other(
    home: Path, git_server: GitServer, plain: str, silent: GitServer
) -> None:
    hosts = f"{git_server.address},{silent.address}"
    with LocalRuntime(home, allowed_private_hosts=hosts, settings=SETTINGS) as bindery:
        for other in (plain, spec(silent, "other.git")):
            assert bindery.launch(other, build_only="true").last.phase == "ready"
        start = time.monotonic()
        with bindery.stream(spec(silent, "silent.git")) as stalled:
            stalled.wait_for("fetching")
            until(lambda: silent.sent == 1)
            for other in (
                plain,
                spec(silent, "other.git"),
            ):  # without sessions, because their start may take as long as the silence
                assert bindery.launch(other, build_only="true").last.phase == "ready"
            assert bindery.total("binderhub_inprogress_builds") == 1, "the others were held up until the build failed"
            failed = stalled.finish().last
        assert time.monotonic() - start < MOST_SECONDS
        assert failed.phase == "failed"
        assert "no answer in time" in failed.message
        check_readable(failed.message)
        check_at_rest(bindery)
        get_well(silent)
        assert bindery.launch(spec(silent, "silent.git")).last.phase == "ready"


def test_a_kill_during_a_silent_transfer_leaves_no_partial_files(home: Path, silent: GitServer) -> None:
    with LocalRuntime(home, allowed_private_hosts=silent.address, settings=SETTINGS) as bindery:
        token = bindery.token(f"git/{spec(silent, 'silent.git')}", jti="silent")
        with bindery.stream(spec(silent, "silent.git"), build_token=token) as stalled:
            stalled.wait_for("fetching")
            until(lambda: silent.sent == 1)
            bindery.kill9()
        get_well(silent)
        bindery.start()
        assert bindery.launch(spec(silent, "silent.git"), build_token=token).last.phase == "ready"
        check_at_rest(bindery)


def test_a_session_with_a_silent_host_starts_once_the_host_answers(home: Path, silent: GitServer) -> None:
    with LocalRuntime(home, allowed_private_hosts=silent.address, settings=SETTINGS) as bindery:
        assert bindery.launch(spec(silent, "other.git"), build_only="true").last.phase == "ready"
        make_repository(silent.root / "other.git", {"README.md": "a commit that needs no new environment\n"})
        silent.halves.add("/other.git")
        with bindery.stream(spec(silent, "other.git")) as stalled:
            stalled.wait_for("launching")
            until(lambda: silent.sent == 1)
            assert any("trying again" in event.message for event in stalled.listen())
            get_well(silent)
            assert stalled.finish().last.phase == "ready"
        assert "fetching" not in stalled.phases
        check_at_rest(bindery)
