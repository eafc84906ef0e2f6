"""The guarded client against real sockets."""

import re
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Self

import pytest

from bindery.adapters.bounded_sockets import BoundedSocket
from bindery.adapters.http import client as module
from bindery.adapters.http.budget import AddressInfo
from bindery.adapters.http.client import GuardedClient
from bindery.adapters.http.host_limits import ConcurrencyLimit, QueueLimits
from bindery.domain.errors import BadAddress, ForbiddenAddress, HostUnreachable, RepositoryTooLarge
from bindery_builder import contents
from tests.serving.loopback import Loopback, Quiet
from tests.serving.scripted import ScriptedServer, answer


def info(address: str, port: int) -> AddressInfo:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return (family, socket.SOCK_STREAM, 6, "", (address, port))


class Names:
    """A resolver that answers each question with the next of its answers."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.requests: list[str] = []

    def __call__(self, host: str, port: int, family: int, kind: int) -> Sequence[AddressInfo]:
        self.requests.append(host)
        return [info(address, port) for address in self.answers.pop(0)]


def unreachable(head: bytes) -> Iterator[bytes]:
    return iter(())  # the request itself is the failure: tests look at `asked`


@pytest.fixture
def ok() -> Iterator[ScriptedServer]:
    with ScriptedServer(lambda head: [answer(b"hello")]) as server:
        yield server


def test_an_allowed_loopback_server_answers(ok: ScriptedServer) -> None:
    got = GuardedClient([ok.address]).get(f"{ok.url}/a?b", {"X-A": "1"})
    assert (got.status, got.body, got.headers["content-type"]) == (200, b"hello", "text/plain")
    assert ok.requests[0].startswith(b"GET /a?b HTTP/1.1\r\n")
    assert b"X-A: 1" in ok.requests[0]


@pytest.mark.parametrize("host", ["localhost", "localhost.", "LOCALHOST", "forge.example"])
def test_a_name_that_resolves_to_loopback_is_forbidden_before_any_connection(host: str, ok: ScriptedServer) -> None:
    port = ok.address.rpartition(":")[2]
    names = Names(["127.0.0.1"])
    with pytest.raises(ForbiddenAddress):
        GuardedClient(resolver=names).get(f"http://{host}:{port}/")
    assert len(names.requests) == 1
    assert ok.requests == []


def test_a_name_with_one_private_address_is_forbidden(ok: ScriptedServer) -> None:
    port = ok.address.rpartition(":")[2]
    for addresses in (["8.8.8.8", "127.0.0.1"], ["::ffff:127.0.0.1"], ["fd00:ec2::254"], ["169.254.169.254"]):
        with pytest.raises(ForbiddenAddress):
            GuardedClient(resolver=Names(addresses)).get(f"http://forge.example:{port}/")


def test_a_name_is_looked_up_once_and_the_connection_is_pinned(ok: ScriptedServer) -> None:
    """The second answer, which would be different, is never requested. The Host header still has the name."""
    port = ok.address.rpartition(":")[2]
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    client = GuardedClient([f"forge.example:{port}"], resolver=names)
    assert client.get(f"http://forge.example:{port}/").body == b"hello"
    assert names.requests == ["forge.example"]
    assert f"Host: forge.example:{port}".encode() in ok.requests[0]


def test_a_name_rebound_after_the_check_is_not_resolved_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver would answer a private address the second time. The connection goes to the address that was checked."""
    tried: list[object] = []

    def refuse(sock: socket.socket, address: object) -> None:
        tried.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(BoundedSocket, "connect", refuse)
    names = Names(["8.8.8.8"], ["127.0.0.1"], ["127.0.0.1"])
    client = GuardedClient(resolver=names)
    with pytest.raises(HostUnreachable):
        client.get("http://forge.example/")
    with pytest.raises(ForbiddenAddress):
        client.get("http://forge.example/")
    assert tried == [("8.8.8.8", 80)]
    assert len(names.requests) == 2


def test_a_connection_is_reused() -> None:
    lookups = Names(["127.0.0.1"])

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send(200, b"ok")

    with Loopback(Handler) as server:
        client = GuardedClient([f"forge.example:{server.port}"], resolver=lookups)
        for _ in range(3):
            assert client.get(f"http://forge.example:{server.port}/").body == b"ok"
        client.close()
    assert lookups.requests == ["forge.example"]


@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:{port}/secret", "http://localhost:{port}/secret", "http://[::1]:{port}/"]
)
def test_a_redirect_to_a_private_address_is_forbidden(target: str) -> None:
    with ScriptedServer(unreachable) as secret:
        location = target.format(port=secret.address.rpartition(":")[2])
        redirect = answer(b"", "text/plain", "302 Found", f"Location: {location}")
        with ScriptedServer(lambda head: [redirect]) as server, pytest.raises(ForbiddenAddress):
            GuardedClient([server.address]).get(server.url)
        assert secret.requests == []


def test_a_chain_of_redirects_to_a_private_address_is_forbidden() -> None:
    with ScriptedServer(unreachable) as secret:
        hops = [*(f"/{number}" for number in range(4)), f"http://localhost:{secret.address.rpartition(':')[2]}/"]

        def lead_on(head: bytes) -> list[bytes]:
            return [answer(b"", "text/plain", "302 Found", f"Location: {hops[len(server.requests) - 1]}")]

        with ScriptedServer(lead_on) as server, pytest.raises(ForbiddenAddress):
            GuardedClient([server.address]).get(server.url)
        assert (len(server.requests), secret.requests) == (5, [])


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "gopher://example.org/",
        "http://a:b@example.org/",
        "http://127.1/",
        "http://forge.invalid:25/",
    ],
)
def test_a_redirect_to_an_invalid_address_is_refused(target: str) -> None:
    redirect = answer(b"", "text/plain", "302 Found", f"Location: {target}")
    with ScriptedServer(lambda head: [redirect]) as server, pytest.raises(BadAddress):
        GuardedClient([server.address]).get(server.url)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_no_git_request_with_a_body_follows_a_redirect(ok: ScriptedServer, status: str) -> None:
    """The body of a POST is meant for one server only."""
    redirect = answer(b"", "text/plain", status, f"Location: {ok.url}/")
    with ScriptedServer(lambda head: [redirect]) as server:
        client = GuardedClient([server.address, ok.address])
        with client.exchange(server.url), client.stream("POST", server.url, {}, b"want") as response:
            assert response.status == int(status[:3])
    assert ok.requests == []


def test_only_the_guard_opens_network_connections() -> None:
    """Of all code that sends requests to repository hosts, only the guard opens connections or has a client that could."""
    adapters = Path(module.__file__).parents[1]
    folders = [adapters / name for name in ("http", "git", "hosts")] + [Path(contents.__file__).parent]
    files = [path for folder in folders for path in folder.rglob("*.py")]
    assert len(files) > 40
    clients = re.compile(
        r"^\s*(?:import|from) (?:urllib3(?!\.response)|socket|ssl|httpx|requests|http\.client|urllib\.request)",
        re.MULTILINE,
    )
    subprocesses = re.compile(r"^\s*(?:import|from) (?:subprocess|asyncio)", re.MULTILINE)
    importers = {path.relative_to(adapters).as_posix() for path in files if clients.search(path.read_text())}
    assert importers == {"http/client.py", "http/budget.py"}
    assert [path for path in files if subprocesses.search(path.read_text())] == []


def test_a_redirect_loop_ends() -> None:
    with ScriptedServer(lambda head: [answer(b"", "text/plain", "302 Found", "Location: /again")]) as server:
        with pytest.raises(BadAddress):
            GuardedClient([server.address]).get(server.url)
        assert len(server.requests) == 6


def test_credentials_do_not_follow_a_redirect_to_another_host(ok: ScriptedServer) -> None:
    with ScriptedServer(lambda head: [answer(b"", "text/plain", "302 Found", f"Location: {ok.url}/")]) as server:
        client = GuardedClient([server.address, ok.address])
        assert client.get(server.url, {"Authorization": "Bearer t"}).body == b"hello"
        assert b"Bearer t" in server.requests[0]
    assert b"Bearer t" not in ok.requests[0]


def test_a_slow_answer_ends_at_the_deadline() -> None:
    with ScriptedServer(lambda head: iter(())) as server:

        def drip(head: bytes) -> Iterator[bytes]:
            yield b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
            while not server.closing.wait(0.02):
                yield b"."

        server._script = drip
        with pytest.raises(HostUnreachable) as caught:
            GuardedClient([server.address]).get(server.url, seconds=0.3)
    assert str(caught.value.facts["why"]).startswith("no ")


def test_a_slow_header_ends_at_the_deadline() -> None:
    with ScriptedServer(lambda head: iter(())) as server:

        def drip(head: bytes) -> Iterator[bytes]:
            yield b"HTTP/1.1 200 OK\r\nX-A: "
            while not server.closing.wait(0.02):
                yield b"."

        server._script = drip
        with pytest.raises(HostUnreachable):
            GuardedClient([server.address]).get(server.url, seconds=0.3)


def test_a_silent_server_times_out() -> None:
    with ScriptedServer(lambda head: iter(())) as server:

        def silent(head: bytes) -> Iterator[bytes]:
            server.closing.wait(20)
            yield b""

        server._script = silent
        with pytest.raises(HostUnreachable):
            GuardedClient([server.address], read_seconds=0.1).get(server.url, seconds=5)


@pytest.mark.parametrize("length", ["Content-Length: 999999999", "X-None: 1", "Transfer-Encoding: chunked"])
def test_an_endless_answer_ends_at_the_limit(length: str) -> None:
    def endless(head: bytes) -> Iterator[bytes]:
        yield f"HTTP/1.1 200 OK\r\n{length}\r\n\r\n".encode()
        while True:
            yield b"8000\r\n" + b"x" * 0x8000 + b"\r\n"

    with ScriptedServer(endless) as server, pytest.raises(RepositoryTooLarge) as caught:
        GuardedClient([server.address]).get(server.url, max_bytes=1_000_000)
    assert caught.value.facts["limit"] == "1 MB"


def test_a_compressed_answer_is_not_unpacked() -> None:
    import gzip

    packed = gzip.compress(b"0" * 10_000_000)
    with ScriptedServer(lambda head: [answer(packed, "text/plain", "200 OK", "Content-Encoding: gzip")]) as server:
        assert GuardedClient([server.address]).get(server.url, max_bytes=100_000).body == packed


@pytest.mark.parametrize(
    "reply", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", b"\0\xff\r\n\r\n"]
)
def test_a_broken_answer_is_an_error_of_the_host(reply: bytes) -> None:
    with ScriptedServer(lambda head: [reply] if reply else []) as server, pytest.raises(HostUnreachable) as caught:
        GuardedClient([server.address]).get(server.url)
    assert caught.value.facts["host"] == "127.0.0.1"


def test_a_closed_port_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(HostUnreachable):
        GuardedClient([f"127.0.0.1:{port}"]).get(f"http://127.0.0.1:{port}/")


def test_an_unknown_name_is_unreachable() -> None:
    def unknown(host: str, port: int, family: int, kind: int) -> Sequence[AddressInfo]:
        raise socket.gaierror("no such name")

    with pytest.raises(HostUnreachable) as caught:
        GuardedClient(resolver=unknown).get("https://forge.example/")
    assert caught.value.facts == {"host": "forge.example", "why": "its name is not known"}


def test_proxies_of_the_environment_are_ignored(ok: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(unreachable) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert GuardedClient([ok.address]).get(ok.url).body == b"hello"
        assert proxy.requests == []


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    subject = ["-subj", "/CN=forge.example", "-addext", "subjectAltName=DNS:forge.example"]
    keys = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *keys]
    subprocess.run(command, check=True, capture_output=True)
    return folder


class TLSServer:
    """A server that answers TLS connections, one after the other, with the same bytes."""

    def __init__(self, folder: Path, reply: bytes) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self._reply = reply
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.heads: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            raw.settimeout(5)
            try:
                with self._context.wrap_socket(raw, server_side=True) as connection:
                    self.heads.append(connection.recv(65536))
                    connection.sendall(self._reply)
            except OSError:
                raw.close()


def test_certificates_are_verified_for_the_host_name_of_a_pinned_connection(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    with TLSServer(certificate, answer(b"secure", "text/plain", "200 OK", "Connection: close")) as server:
        allowed = [f"forge.example:{server.port}", f"other.example:{server.port}"]
        client = GuardedClient(allowed, resolver=Names(["127.0.0.1"], ["127.0.0.1"]))
        assert client.get(f"https://forge.example:{server.port}/").body == b"secure"
        with pytest.raises(HostUnreachable) as caught:
            client.get(f"https://other.example:{server.port}/")
        client.close()
    assert "certificate" in str(caught.value.facts["why"])
    assert len(server.heads) == 1


def test_an_unknown_certificate_authority_is_not_trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with TLSServer(certificate, answer(b"secure")) as server:
        client = GuardedClient([f"forge.example:{server.port}"], resolver=Names(["127.0.0.1"]))
        with pytest.raises(HostUnreachable):
            client.get(f"https://forge.example:{server.port}/")
    assert server.heads == []


def test_size_limits_apply_to_tls_connections(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    with TLSServer(certificate, answer(b"x" * 300_000)) as server:
        client = GuardedClient([f"forge.example:{server.port}"], resolver=Names(["127.0.0.1"]))
        with pytest.raises(RepositoryTooLarge):
            client.get(f"https://forge.example:{server.port}/", max_bytes=100_000)


def test_a_redirect_from_https_to_http_is_refused(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    redirect = answer(b"", "text/plain", "302 Found", "Location: http://example.org/", "Connection: close")
    with TLSServer(certificate, redirect) as server:
        client = GuardedClient([f"forge.example:{server.port}"], resolver=Names(["127.0.0.1"]))
        with pytest.raises(BadAddress) as caught:
            client.get(f"https://forge.example:{server.port}/")
    assert "https" in str(caught.value.facts["why"])


def test_an_exchange_has_one_size_limit_for_all_its_requests() -> None:
    with ScriptedServer(lambda head: [answer(b"x" * 60_000)]) as server:
        client = GuardedClient([server.address])
        with pytest.raises(RepositoryTooLarge), client.exchange(server.url, max_bytes=100_000):
            for _ in range(2):
                with client.stream("GET", server.url, {}) as response:
                    response.read()


def test_a_deadline_starts_with_the_exchange() -> None:
    with ScriptedServer(lambda head: [answer(b"x")]) as server:
        client = GuardedClient([server.address])
        with pytest.raises(HostUnreachable), client.exchange(server.url, seconds=0.01):
            time.sleep(0.02)
            with client.stream("GET", server.url, {}) as response:
                response.read()
    assert server.requests == []


def silent_server() -> ScriptedServer:
    """Start a server that takes requests and never answers, until it ends."""

    def silent(head: bytes) -> Iterator[bytes]:
        server.closing.wait(20)
        yield b""

    server = ScriptedServer(silent)
    return server


def failure(client: GuardedClient, url: str) -> str:
    with pytest.raises(HostUnreachable) as caught:
        client.get(url)
    return str(caught.value.facts["why"])


def test_a_hanging_host_blocks_three_workers_at_most(ok: ScriptedServer) -> None:
    with silent_server() as server, ThreadPoolExecutor(8) as workers:
        client = GuardedClient([server.address, ok.address], read_seconds=3, quiet_seconds=0.1)
        hanging = [workers.submit(failure, client, server.url) for _ in range(8)]
        whys = Counter(done.result() for done in hanging)
        assert client.get(ok.url).body == b"hello"
        assert len(server.requests) == 3
    assert whys == {"no answer in time": 3, "too many requests to it are under way; try again in a moment": 5}


def test_concurrent_requests_to_a_fast_host_all_get_a_turn() -> None:
    lock, running, most = threading.Lock(), 0, 0

    def reply(head: bytes) -> Iterator[bytes]:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.05)  # long enough for other requests to arrive
        with lock:
            running -= 1
        yield answer(b"hello", "text/plain", "200 OK", "Connection: close")

    with ScriptedServer(reply) as server, ThreadPoolExecutor(16) as workers:
        client = GuardedClient([server.address])
        bodies = [workers.submit(client.get, server.url) for _ in range(16)]
        assert [done.result().body for done in bodies] == [b"hello"] * 16
    assert most <= 3


def test_a_wait_for_a_turn_can_be_stopped() -> None:
    turns, stop = ConcurrencyLimit(), threading.Event()

    def check() -> None:
        if stop.is_set():
            raise HostUnreachable(host="h", why="it was stopped")

    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(turns.turn("k", "h", QueueLimits(0, 0), check))
        stop.set()
        with pytest.raises(HostUnreachable, match="stopped"), turns.turn("k", "h", QueueLimits(60, 60), check):
            pass
    stop.clear()
    with turns.turn("k", "h", QueueLimits(0, 0), check):
        pass
    assert turns._queues == {}


def test_a_wait_for_a_silent_host_can_be_stopped() -> None:
    stop = threading.Event()
    with silent_server() as server:
        client = GuardedClient([server.address], read_seconds=60)

        def wait() -> str:
            with (
                pytest.raises(HostUnreachable) as caught,
                client.exchange(server.url, seconds=60, stopped=stop.is_set),
                client.stream("GET", server.url, {}) as response,
            ):
                response.read()
            return str(caught.value.facts["why"])

        with ThreadPoolExecutor(1) as workers:
            waiting = workers.submit(wait)
            while not server.requests:
                assert not waiting.done()
            stop.set()
            assert waiting.result(10) == "it was stopped"


def test_a_silent_host_is_requested_once() -> None:
    with silent_server() as server:
        assert failure(GuardedClient([server.address], read_seconds=0.1), server.url) == "no answer in time"
        assert len(server.requests) == 1


@pytest.mark.parametrize(("piece", "why"), [(b".", "it sends too slowly"), (b"." * 1000, "")])
def test_a_download_below_the_minimum_speed_fails(piece: bytes, why: str) -> None:
    def drip(head: bytes) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(piece) * 50)
        for _ in range(50):
            server.closing.wait(0.02)
            yield piece

    with ScriptedServer(drip) as server:
        client, reason = GuardedClient([server.address], pace_seconds=0.2), ""
        try:
            with (
                client.exchange(server.url, seconds=60, download=True),
                client.stream("GET", server.url, {}) as response,
            ):
                response.read()
        except HostUnreachable as error:
            reason = str(error.facts["why"])
    assert reason == why
