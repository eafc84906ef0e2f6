"""The provider `git` against hostile servers and handmade packs."""

import hashlib
import struct
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindery.adapters.clock import SystemClock
from bindery.adapters.git.object_ids import object_id
from bindery.adapters.git.packs import BrokenPack, PackLimits, TooMuch, measure, unpacked
from bindery.adapters.git.tree import NotListed, listing
from bindery.adapters.hosts.git import GitProvider
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import (
    BadAddress,
    BinderyError,
    ForbiddenAddress,
    HostLimited,
    HostUnreachable,
    RefNotFound,
    RepositoryNotFound,
    RepositoryTooLarge,
)
from bindery.domain.repository import Entry, Repository
from tests.serving.git_http import git, make_repository
from tests.serving.loopback import Loopback, Quiet
from tests.serving.scripted import ScriptedServer, answer

LIMITS = PackLimits(objects=100, object_bytes=1_000_000, total_bytes=2_000_000)
ADVERTISED = "application/x-git-upload-pack-advertisement"
RESULT = "application/x-git-upload-pack-result"


def line(content: bytes) -> bytes:
    return b"%04x" % (len(content) + 4) + content


CAPABILITIES = b"".join(map(line, (b"version 2\n", b"ls-refs\n", b"fetch=shallow filter\n"))) + b"0000"


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def header(kind: int, size: int) -> bytes:
    first, rest = kind << 4 | size & 15, size >> 4
    return bytes([first | 128]) + varint(rest) if rest else bytes([first])


def packed(*objects: tuple[int, bytes], size: int | None = None) -> bytes:
    """Return a pack of objects (type, content). `size`: the size that each object claims instead of its real one."""
    body = b"".join(
        header(kind, len(content) if size is None else size) + zlib.compress(content) for kind, content in objects
    )
    pack = b"PACK" + struct.pack(">LL", 2, len(objects)) + body
    return pack + hashlib.sha1(pack).digest()


def tree(*entries: tuple[str, int, bytes]) -> bytes:
    return b"".join(
        f"{mode:o} {name}".encode() + b"\0" + bytes.fromhex(identifier.decode()) for name, mode, identifier in entries
    )


def commit(root: bytes) -> bytes:
    return b"tree " + root + b"\nauthor A <a@example.org> 0 +0000\ncommitter A <a@example.org> 0 +0000\n\nx\n"


def fetched(pack: bytes) -> bytes:
    pieces = b"".join(line(b"\x01" + pack[at : at + 60000]) for at in range(0, len(pack), 60000))
    return line(b"packfile\n") + pieces + b"0000"


class Forge:
    """A git server with a few scripted answers. on_post: returns the answer's body for a request's body."""

    def __init__(self, on_post: Callable[[bytes], bytes], discovery: bytes = CAPABILITIES) -> None:
        self._on_post, self._discovery = on_post, discovery

    def __call__(self, head: bytes) -> Iterator[bytes]:
        if head.startswith(b"GET"):
            yield answer(self._discovery, ADVERTISED, "200 OK", "Connection: close")
        else:
            yield answer(self._on_post(head), RESULT, "200 OK", "Connection: close")


def provider(server: ScriptedServer, seconds: float = 10) -> GitProvider:
    return GitProvider(GuardedClient([server.address]), SystemClock(), seconds=seconds)


def spec(server: ScriptedServer, ref: str = "HEAD") -> str:
    return f"{quote(server.url + '/r', safe='')}/{ref}"


def repository(server: ScriptedServer, ref: str) -> Repository:
    url = f"{server.url}/r"
    return Repository(provider="git", spec="s", ref=ref, resolved_spec="s", clone_url=url, repo_url=url, ref_url=url)


BLOB = b"hello\n"
BLOB_ID = object_id(b"blob", BLOB)
ROOT = tree(("a.txt", 0o100644, BLOB_ID))
ROOT_ID = object_id(b"tree", ROOT)
COMMIT = commit(ROOT_ID)
COMMIT_ID = object_id(b"commit", COMMIT).decode()


def test_a_server_that_ignores_filters_has_no_listing() -> None:
    pack = packed((1, COMMIT), (2, ROOT), (3, BLOB))
    with ScriptedServer(Forge(lambda head: fetched(pack))) as server:
        assert provider(server).tree(repository(server, COMMIT_ID)) is None


def test_no_listing_is_requested_from_a_server_without_filters() -> None:
    without = b"".join(map(line, (b"version 2\n", b"ls-refs\n", b"fetch=shallow\n"))) + b"0000"
    with ScriptedServer(Forge(lambda head: b"", without)) as server:
        assert provider(server).tree(repository(server, COMMIT_ID)) is None
        assert [head[:4] for head in server.requests] == [b"GET "]


def test_a_server_without_filters_still_resolves_commits() -> None:
    without = b"".join(map(line, (b"version 2\n", b"ls-refs\n", b"fetch=shallow\n"))) + b"0000"
    pack = packed((1, COMMIT), (2, ROOT), (3, BLOB))
    with ScriptedServer(Forge(lambda head: fetched(pack), without)) as server:
        assert provider(server).resolve(spec(server, COMMIT_ID)).repository.ref == COMMIT_ID


@pytest.mark.parametrize("objects", [[(1, COMMIT)], [(2, ROOT)], [], [(1, commit(b"0" * 40)), (2, ROOT)]])
def test_an_incomplete_listing_is_ignored(objects: list[tuple[int, bytes]]) -> None:
    with ScriptedServer(Forge(lambda head: fetched(packed(*objects)))) as server:
        assert provider(server).tree(repository(server, COMMIT_ID)) is None


def test_a_commit_with_other_content_is_not_found() -> None:
    with (
        ScriptedServer(Forge(lambda head: fetched(packed((1, commit(b"1" * 40)))))) as server,
        pytest.raises(RefNotFound),
    ):
        provider(server).resolve(spec(server, COMMIT_ID))


def test_a_file_with_other_content_is_refused() -> None:
    with ScriptedServer(Forge(lambda head: fetched(packed((3, b"other"))))) as server, pytest.raises(HostUnreachable):
        provider(server).read(repository(server, COMMIT_ID), Entry("a", 0o100644, BLOB_ID.decode()))


def test_a_file_over_the_limit_is_too_large() -> None:
    large = b"x" * 1_000_001
    entry = Entry("a", 0o100644, object_id(b"blob", large).decode())
    with (
        ScriptedServer(Forge(lambda head: fetched(packed((3, large))))) as server,
        pytest.raises(RepositoryTooLarge) as caught,
    ):
        provider(server).read(repository(server, COMMIT_ID), entry)
    assert caught.value.facts["limit"] == "1 MB"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("refs/pull/1/head", False),
        ("refs/xheads/a", False),
        ("HEAD", False),
        ("refs/heads/a", True),
        ("refs/tags/a", True),
    ],
)
def test_only_branches_and_tags_of_a_server_that_lists_all_refs_count(name: str, expected: bool) -> None:
    other = "1" * 40
    refs = (f"{other} refs/heads/main", f"{COMMIT_ID} {name}", f"{other} refs/tags/v1 peeled:{other}")
    listed = b"".join(line(f"{ref}\n".encode()) for ref in refs) + b"0000"
    with ScriptedServer(Forge(lambda head: listed)) as server:
        assert provider(server).on_branch_or_tag(repository(server, COMMIT_ID)) is expected


def test_a_server_that_refuses_to_list_its_refs_counts_as_negative() -> None:
    with ScriptedServer(Forge(lambda head: line(b"ERR no\n"))) as server:
        assert not provider(server).on_branch_or_tag(repository(server, COMMIT_ID))


def test_an_endless_list_of_refs_ends_at_the_limit() -> None:
    def endless(head: bytes) -> Iterator[bytes]:
        if head.startswith(b"GET"):
            yield answer(CAPABILITIES, ADVERTISED, "200 OK", "Connection: close")
            return
        yield f"HTTP/1.1 200 OK\r\nContent-Type: {RESULT}\r\n\r\n".encode()
        lines = b"".join(line(b"%040x refs/heads/a%d\n" % (number, number)) for number in range(2000))
        while True:
            yield lines

    with ScriptedServer(endless) as server, pytest.raises(RepositoryTooLarge):
        provider(server).resolve(spec(server))
    with ScriptedServer(endless) as server:
        assert not provider(server).on_branch_or_tag(repository(server, COMMIT_ID))


def test_a_slow_list_of_refs_ends_at_the_deadline() -> None:
    with ScriptedServer(lambda head: ()) as server:

        def drip(head: bytes) -> Iterator[bytes]:
            if head.startswith(b"GET"):
                yield answer(CAPABILITIES, ADVERTISED, "200 OK", "Connection: close")
                return
            yield f"HTTP/1.1 200 OK\r\nContent-Type: {RESULT}\r\n\r\n".encode()
            while not server.closing.wait(0.02):
                yield line(b"%040x refs/heads/a\n" % 1)

        server._script = drip
        with pytest.raises(HostUnreachable):
            provider(server, seconds=0.4).resolve(spec(server))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("401 Unauthorized", RepositoryNotFound),
        ("403 Forbidden", RepositoryNotFound),
        ("404 Not Found", RepositoryNotFound),
        ("500 Oops", HostUnreachable),
        ("503 Busy", HostUnreachable),
    ],
)
def test_refusals_become_typed_errors(status: str, error: type[BinderyError]) -> None:
    with ScriptedServer(lambda head: [answer(b"", "text/plain", status)]) as server, pytest.raises(error):
        provider(server).resolve(spec(server))


def test_a_rate_limited_host_is_reported_with_the_end_of_the_limit() -> None:
    reply = answer(b"", "text/plain", "429 Slow down", "Retry-After: 120")
    with ScriptedServer(lambda head: [reply]) as server, pytest.raises(HostLimited) as caught:
        provider(server).resolve(spec(server))
    assert float(caught.value.facts["at"]) - SystemClock().now() == pytest.approx(120, abs=30)


def test_a_rate_limited_host_is_not_requested_until_its_time_is_over() -> None:
    reply = answer(b"", "text/plain", "429 Slow down", "Retry-After: 120")
    with ScriptedServer(lambda head: [reply]) as server:
        git = provider(server)
        for repository in ("r", "r", "another"):
            with pytest.raises(HostLimited):
                git.resolve(f"{quote(f'{server.url}/{repository}', safe='')}/HEAD")
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("http://localhost:{port}/r/info/refs?service=git-upload-pack", ForbiddenAddress),
        ("http://169.254.169.254/r/info/refs?service=git-upload-pack", ForbiddenAddress),
        ("http://0x7f000001:{port}/r/info/refs?service=git-upload-pack", BadAddress),
        ("file:///etc/passwd", BadAddress),
        ("ssh://git@localhost/r", BadAddress),
        ("ext::sh -c id", BadAddress),
    ],
)
def test_a_redirect_of_git_to_a_private_address_or_other_protocol_is_refused(
    target: str, error: type[BinderyError]
) -> None:
    with ScriptedServer(lambda head: [answer(b"secret")]) as inside:
        location = target.format(port=inside.address.rpartition(":")[2])
        redirect = answer(b"", "text/plain", "302 Found", f"Location: {location}")
        with ScriptedServer(lambda head: [redirect]) as server, pytest.raises(error):
            provider(server).resolve(spec(server))
        assert inside.requests == []


def test_concurrent_requests_for_one_spec_send_one_request() -> None:
    going = threading.Event()

    def slow(head: bytes) -> Iterator[bytes]:
        going.wait(20)
        yield answer(b"", "text/plain", "404 Not Found")

    def visit(git: GitProvider, link: str) -> type[BinderyError]:
        with pytest.raises(BinderyError) as caught:
            git.resolve(link)
        return caught.type

    with ScriptedServer(slow) as server, ThreadPoolExecutor(3) as visitors:
        git = provider(server)
        outcomes = [visitors.submit(visit, git, spec(server)) for _ in range(3)]
        while not server.requests:
            time.sleep(0.01)  # no event reports that the first request has begun
        time.sleep(0.3)  # time in which the others could ask too
        going.set()
        assert [each.result() for each in outcomes] == [RepositoryNotFound] * 3
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "content_type", "error"),
    [
        (b"<html>", "text/html", RepositoryNotFound),
        (b"1" * 40 + b"\trefs/heads/main\n", "text/html", BadAddress),
        (b"1" * 40 + b" refs/heads/main\n", "text/plain", RepositoryNotFound),
        (b"", ADVERTISED, HostUnreachable),
        (b"zzzz", ADVERTISED, HostUnreachable),
        (b"ffff", ADVERTISED, HostUnreachable),
        (b"0003", ADVERTISED, HostUnreachable),
        (b"0000", ADVERTISED, BadAddress),
        (
            line(b"# service=git-upload-pack\n") + b"0000" + line(b"1" * 40 + b" HEAD\0x\n") + b"0000",
            ADVERTISED,
            BadAddress,
        ),
        (line(b"version 2\n") + line(b"object-format=sha256\n") + b"0000", ADVERTISED, BadAddress),
        (line(b"ERR go away\n") + b"0000", ADVERTISED, RepositoryNotFound),
    ],
)
def test_an_address_without_a_git_server_is_reported(body: bytes, content_type: str, error: type[BinderyError]) -> None:
    with ScriptedServer(lambda head: [answer(body, content_type)]) as server, pytest.raises(error):
        provider(server).resolve(spec(server))


class Files(Loopback):
    """A plain web server over a folder: git's "dumb" http, which needs `update-server-info`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        super().__init__(_Handler)


class _Handler(Quiet):
    def do_GET(self) -> None:  # noqa: N802 # the base class names it
        file = self.server.owner.root / self.path.partition("?")[0].lstrip("/")
        self.send(200, file.read_bytes()) if file.is_file() else self.send(404)


def test_a_static_file_server_is_distinguished_from_a_missing_repository(tmp_path: Path) -> None:
    make_repository(tmp_path / "r.git", {"a.txt": "x"})
    git("-C", str(tmp_path / "r.git"), "update-server-info")
    with Files(tmp_path) as server:
        git_provider = GitProvider(GuardedClient([server.address]), SystemClock())
        with pytest.raises(BadAddress) as caught:
            git_provider.resolve(f"{quote(f'{server.origin}/r.git', safe='')}/HEAD")
        assert "only hands out files" in str(caught.value.facts["why"])
        with pytest.raises(RepositoryNotFound):
            git_provider.resolve(f"{quote(f'{server.origin}/none.git', safe='')}/HEAD")


@settings(max_examples=25, deadline=None)
@given(
    st.binary(max_size=200)
    | st.lists(st.binary(max_size=40), max_size=6).map(lambda all_: b"".join(map(line, all_)) + b"0000")
)
def test_any_answer_of_a_server_gives_a_result_or_a_typed_error(noise: bytes) -> None:
    with ScriptedServer(Forge(lambda head: noise)) as server:
        git = provider(server)
        for ask in (
            lambda: git.resolve(spec(server)),
            lambda: git.resolve(spec(server, COMMIT_ID)),
            lambda: git.tree(repository(server, COMMIT_ID)),
            lambda: git.read(repository(server, COMMIT_ID), Entry("a", 0o100644, BLOB_ID.decode())),
        ):
            try:
                ask()
            except BinderyError:
                continue


def test_a_pack_that_expands_too_much_is_refused_without_unpacking() -> None:
    bomb = packed((3, b"\0" * 50_000_000))
    assert len(bomb) < 60_000
    with pytest.raises(TooMuch):
        measure(bomb, LIMITS)


def test_a_pack_with_false_sizes_is_broken() -> None:
    with pytest.raises(BrokenPack):
        measure(packed((3, b"\0" * 5_000_000), size=10), LIMITS)
    with pytest.raises(BrokenPack):
        measure(packed((3, b"short"), size=10), LIMITS)


def test_a_delta_that_expands_too_much_is_refused_without_unpacking() -> None:
    base = b"x" * 65536
    copies = bytes([0x80 | 0x20 | 0x40, 0x00, 0x01]) * 200
    delta = varint(len(base)) + varint(65536 * 200) + copies
    body = header(3, len(base)) + zlib.compress(base)
    body += header(7, len(delta)) + bytes.fromhex(object_id(b"blob", base).decode()) + zlib.compress(delta)
    pack = b"PACK" + struct.pack(">LL", 2, 2) + body
    with pytest.raises(TooMuch):
        measure(pack + hashlib.sha1(pack).digest(), LIMITS)


def test_a_pack_with_too_many_objects_is_refused_without_unpacking() -> None:
    with pytest.raises(TooMuch):
        measure(b"PACK" + struct.pack(">LL", 2, 2**31) + b"\0" * 40, LIMITS)


def test_a_valid_pack_is_unpacked_by_id() -> None:
    objects = unpacked(packed((1, COMMIT), (2, ROOT), (3, BLOB)), LIMITS)
    assert objects == {COMMIT_ID.encode(): (1, COMMIT), ROOT_ID: (2, ROOT), BLOB_ID: (3, BLOB)}


@given(st.binary(max_size=300))
def test_any_bytes_are_a_pack_or_a_broken_pack(noise: bytes) -> None:
    for pack in (noise, b"PACK" + struct.pack(">LL", 2, 1) + noise):
        try:
            unpacked(pack, LIMITS)
        except (BrokenPack, TooMuch):
            continue


@given(st.binary(max_size=200))
def test_any_bytes_are_a_tree_or_an_error(noise: bytes) -> None:
    root = object_id(b"tree", noise)
    head = commit(root)
    try:
        listing({object_id(b"commit", head): (1, head), root: (2, noise)}, object_id(b"commit", head).decode())
    except (NotListed, BrokenPack):
        return


def test_a_tree_that_repeats_the_same_folders_is_refused() -> None:
    objects: dict[bytes, tuple[int, bytes]] = {}
    content = tree(("a", 0o100644, b"1" * 40))
    for _ in range(12):
        identifier = object_id(b"tree", content)
        objects[identifier] = (2, content)
        content = tree(*((f"d{number}", 0o040000, identifier) for number in range(10)))
    root = object_id(b"tree", content)
    head = commit(root)
    objects |= {root: (2, content), object_id(b"commit", head): (1, head)}
    with pytest.raises(NotListed):
        listing(objects, object_id(b"commit", head).decode())


def test_extremely_long_numbers_in_packs_are_refused() -> None:
    """Reading these numbers takes time that grows with the square of their length."""
    delta = zlib.compress(varint(1) + varint(1) + b"\x01x")
    for kind in (bytes([3 << 4 | 128]) + b"\x80" * 20 + b"\x01", bytes([6 << 4 | 4]) + b"\x80" * 20 + b"\x01" + delta):
        body = struct.pack(">4sLL", b"PACK", 2, 1) + kind
        with pytest.raises(BrokenPack) as caught:
            measure(body + hashlib.sha1(body).digest(), LIMITS)
        assert "number" in str(caught.value)


def test_a_listing_with_extremely_long_paths_is_refused() -> None:
    """The names are long and nested, so the paths would take far more memory than the trees."""
    inner = tree(("x", 0o100644, b"1" * 40))
    objects = {object_id(b"tree", inner): (2, inner)}
    for _ in range(3):
        inner = tree(("d" * 2000, 0o040000, object_id(b"tree", inner)))
        objects[object_id(b"tree", inner)] = (2, inner)
    top = commit(object_id(b"tree", inner))
    with pytest.raises(NotListed, match="path"):
        listing({**objects, object_id(b"commit", top): (1, top)}, object_id(b"commit", top).decode())


def test_an_object_id_is_computed_without_a_copy() -> None:
    content = bytes(20_000_000)
    tracemalloc.start()
    try:
        object_id(b"blob", content)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
