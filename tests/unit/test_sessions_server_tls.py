"""A session's server behind TLS: its certificate identifies it, one connection serves all requests, and its time is limited."""

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bindery.adapters.jupyter import client
from bindery.adapters.jupyter.client import NoAnswer, Server

HOST = "one.sessions.localhost"


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield the file of a trusted certificate that is valid for HOST only."""
    path = tmp_path / "certificate.pem"
    subject = ("-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", path, "-out", tmp_path / "public.pem"], check=True, capture_output=True)
    path.write_text(path.read_text() + (tmp_path / "public.pem").read_text())
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    client._tls.cache_clear()
    yield path
    client._tls.cache_clear()


class TlsServer:
    """A TLS server that gives each request the same answer, or drips interim answers for ever."""

    def __init__(self, certificate: Path, drips: bool = False) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.context, self.drips, self.connections = context, drips, 0
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def url(self, host: str = HOST) -> str:
        return f"https://{host}:{self.listener.getsockname()[1]}/"

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            try:
                with self.context.wrap_socket(plain, server_side=True) as talk:
                    self.connections += 1
                    self._talk(talk)
            except OSError:
                plain.close()

    def _talk(self, talk: ssl.SSLSocket) -> None:
        while talk.recv(10_000):
            talk.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            while self.drips:
                talk.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                time.sleep(0.05)


@pytest.fixture
def server(certificate: Path) -> Iterator[TlsServer]:
    serving = TlsServer(certificate)
    yield serving
    serving.close()


def test_a_server_with_the_certificate_for_its_name_is_accepted(server: TlsServer) -> None:
    with Server(server.url(), 5) as client:
        assert client.get("api/status", "a token") == (200, b"ok")
        assert client.get("api/kernels", "a token") == (200, b"ok")
    assert server.connections == 1


def test_the_certificate_of_another_session_is_refused(server: TlsServer) -> None:
    with Server(server.url("two.sessions.localhost"), 5) as client, pytest.raises(NoAnswer):
        client.get("api/status")


def test_a_slow_answer_over_tls_times_out(certificate: Path) -> None:
    serving = TlsServer(certificate, drips=True)
    start = time.monotonic()
    try:
        with Server(serving.url(), 0.5) as client, pytest.raises(NoAnswer):
            client.get("api/status")
            client.get("api/kernels")
    finally:
        serving.close()
    assert time.monotonic() - start < 3
