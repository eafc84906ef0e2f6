"""Tests of the user's protection from other users of this machine, other names and a proxy's steps."""

import os
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bindery.web.base_url import is_loopback
from bindery_builder.images.tool import ContainerTool, Desk
from bindery_builder.process.environment import build_environment, tool_environment
from bindery_local import socket_owners
from bindery_local.sessions.launcher import ProcessSessions
from bindery_local.setup import prepare
from tests.fakes.clock import FakeClock
from tests.serving.lab import WrittenContents

OTHER_USER = 65534
PROXY, SECRET_PROXY = "http://proxy.example:3128", "http://user:pw@proxy.example:3128"


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:8585", "127.0.0.1", "127.0.0.1:8585", "[::1]", "[::1]:80", "localhost.:8585"]
)
def test_loopback_host_names_are_accepted(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        *("", ":", ":8585", "localhost:8621.evil", "localhost:x", "localhost:", "localhost:123456", "localhost: 80"),
        *("localhost:8585@evil.example", "evil@localhost", "localhost.evil.example", "evil.example", "127.0.0.2"),
        *("localhost:8585\n", "localhost/x", "localhost:٨", "::1", "[::1", "[::ffff:127.0.0.1]", "localhost:80:80"),
    ],
)
def test_any_other_host_name_is_refused(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o750, 0o701])
def test_an_existing_home_gets_private_permissions(tmp_path: Path, mode: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINDERY_SECRET", "x" * 40)
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(mode)
    with prepare(home):
        assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_a_folder_shared_by_all_users_is_refused_as_home(tmp_path: Path) -> None:
    home = tmp_path / "shared"
    home.mkdir()
    home.chmod(0o1777)
    with pytest.raises(SystemExit, match="shared by all users"):
        prepare(home)
    assert stat.S_IMODE(home.stat().st_mode) == 0o1777


needs_tables = pytest.mark.skipif(
    not socket_owners.TABLES[0].exists(), reason="no /proc/net/tcp: ports do not tell whose they are"
)


@needs_tables
@pytest.mark.parametrize("at", ["127.0.0.1", "0.0.0.0"])
def test_a_port_is_ours_only_while_we_listen_on_it(at: str) -> None:
    with socket.create_server((at, 0)) as server:
        port = server.getsockname()[1]
        assert socket_owners.is_our_port(port, socket_owners.listening_users())
    assert not socket_owners.is_our_port(port, socket_owners.listening_users())


@needs_tables
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(("family", "at"), [("AF_INET", "127.0.0.1"), ("AF_INET", "0.0.0.0"), ("AF_INET6", "::")])
def test_a_listener_of_another_user_on_a_reserved_port_is_not_ours(family: str, at: str) -> None:
    program = (
        f"import os, socket, sys; os.setuid({OTHER_USER}); s = socket.socket(socket.{family});"
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1);"
        f"s.bind(({at!r}, int(sys.argv[1]))); s.listen(); print('listens', flush=True); sys.stdin.read()"
    )
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        other = subprocess.Popen(
            [sys.executable, "-S", "-c", program, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with other:
            assert other.stdout
            assert other.stdout.readline() == b"listens\n"
            assert not socket_owners.is_our_port(port, socket_owners.listening_users())
            other.communicate()


@pytest.mark.parametrize("name", ["http_proxy", "HTTPS_PROXY", "All_Proxy"])
def test_the_password_of_a_proxy_does_not_reach_build_steps(tmp_path: Path, name: str) -> None:
    machine = {name: SECRET_PROXY, "NO_PROXY": "internal.example", "https_proxy": PROXY}
    machine[name] = SECRET_PROXY
    passed = build_environment(machine, tmp_path, tmp_path / "cache")
    assert "pw@" not in str(passed)
    assert passed["NO_PROXY"] == "internal.example"
    assert build_environment({"http_proxy": PROXY}, tmp_path, tmp_path)["http_proxy"] == PROXY


@pytest.mark.parametrize(("proxy", "kept_away"), [(SECRET_PROXY, True), (PROXY, False), ("", False)])
def test_a_container_tool_does_not_pass_a_proxy_with_a_password_to_builds(
    tmp_path: Path, proxy: str, kept_away: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM scratch\n")
    monkeypatch.setattr(ContainerTool, "path", "/usr/bin/buildah")
    words = ContainerTool("buildah", tmp_path).build(tmp_path, dockerfile, {}, Desk(tmp_path))
    assert ("--http-proxy=false" in words) is kept_away
    assert SECRET_PROXY not in str(words)
    assert tool_environment({"HTTPS_PROXY": SECRET_PROXY}, tmp_path, tmp_path, tmp_path)["HTTPS_PROXY"] == SECRET_PROXY


@pytest.mark.parametrize("user", [OTHER_USER, os.getuid()])
def test_the_token_of_a_session_is_not_sent_to_a_port_of_another_user(
    tmp_path: Path, user: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = ProcessSessions(
        tmp_path, WrittenContents({}), FakeClock(), find_environment=lambda _: None, hold_environment=lambda _: None
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]
        monkeypatch.setattr(socket_owners, "listening_users", lambda: {port: {user}})
        with ThreadPoolExecutor(1) as threads:
            asking = threads.submit(launcher.activity, {"s": (f"http://127.0.0.1:{port}/", "token")}, 1)
            reached = [True]
            try:
                server.accept()[0].close()
            except TimeoutError:
                reached = []
            assert asking.result() == {"s": None}
    assert bool(reached) is (user == os.getuid())
