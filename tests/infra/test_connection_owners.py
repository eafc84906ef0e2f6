"""Tests of a connection's owner."""

import os
import socket
import subprocess
import sys

import pytest

from bindery_local.socket_owners import TABLES, is_our_connection

pytestmark = pytest.mark.skipif(
    not TABLES[0].exists(), reason="no /proc/net/tcp: connections do not tell whose they are"
)
OTHER_USER = 65534


def test_our_connection_is_ours_until_it_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        taken, address = server.accept()
        with taken:
            assert is_our_connection(address, server.getsockname())
            client.close()
            assert not is_our_connection(address, server.getsockname())


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_connection_of_another_user_is_not_ours() -> None:
    program = (
        f"import os, socket, sys; os.setuid({OTHER_USER}); s = socket.socket(); s.connect(('127.0.0.1', int(sys.argv[1])));"
        "print('connected', flush=True); sys.stdin.read()"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        port = str(server.getsockname()[1])
        other = subprocess.Popen(
            [sys.executable, "-S", "-c", program, port], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with other:
            taken, address = server.accept()
            with taken:
                assert not is_our_connection(address, server.getsockname())
            other.communicate()


def test_a_missing_connection_is_not_ours() -> None:
    assert not is_our_connection(("127.0.0.1", 1), ("127.0.0.1", 2))


def test_another_connection_from_the_same_port_is_ignored() -> None:
    """A port may be bound towards one server and, at the same time, closed towards another. Both are listed."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        first = connected(0, one)
        port = first.getsockname()[1]
        first.close()  # the client closes first: the connection stays listed for a minute
        with connected(port, other) as second:
            assert second.getsockname()[1] == port
            assert is_our_connection(second.getsockname(), other.getsockname())
            assert not is_our_connection(second.getsockname(), one.getsockname())


def connected(port: int, server: socket.socket) -> socket.socket:
    """Return a client's connection from that port (0: any)."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.bind(("127.0.0.1", port))
    client.connect(server.getsockname())
    return client
