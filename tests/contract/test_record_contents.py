"""The contents port's contract for published records, from a host on loopback."""

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import tempfile
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindery.adapters.clock import SystemClock
from bindery.adapters.hosts.records.dois import Dois
from bindery.adapters.hosts.records.zenodo import ZenodoProvider
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import (
    BinderyError,
    ForbiddenAddress,
    HostLimited,
    HostUnreachable,
    RepositoryNotFound,
    RepositoryTooLarge,
    RepositoryUnusable,
)
from bindery.domain.repository import Repository
from bindery.ports.contents import never_stopped
from bindery_builder.contents.archives import unpack
from bindery_builder.contents.record_folder import RecordFolder
from bindery_builder.contents.records import MOST_TRIES, MOST_WAIT, RecordContents
from bindery_builder.contents.router import AnyContents
from bindery_builder.contents.work_tree import Room
from tests.fakes.table import DictTable
from tests.serving.git_http import GitServer, make_repository
from tests.serving.record_hosts import DoiSystem, Zenodo
from tests.serving.scripted import ScriptedServer
from tests.serving.site import Reply, moved

Members = list[tuple[str, bytes] | zipfile.ZipInfo | tarfile.TarInfo]


@dataclass
class Place:
    """A host, the adapter that lays out its records, and the folder for both."""

    host: Zenodo
    client: GuardedClient
    provider: ZenodoProvider
    contents: RecordContents
    root: Path

    def make(self, files: dict[str, bytes]) -> Repository:
        number = 100 + len(self.host.records) * 2
        return self.provider.resolve(self.host.publish(number + 1, number, files)).repository

    def limited(self, **limits: int) -> RecordContents:
        return RecordContents(lambda _: self.provider, self.client, SystemClock(), **limits)

    def left(self) -> list[str]:
        return sorted(path.name for path in (self.root / "work").iterdir())


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    (tmp_path / "work").mkdir()
    with DoiSystem() as dois, Zenodo(dois) as host:
        client, clock = GuardedClient([host.address, dois.address]), SystemClock()
        provider = ZenodoProvider(client, DictTable(), clock, Dois(client, clock, dois.url), api_url=host.api)
        yield Place(host, client, provider, RecordContents(lambda _: provider, client, clock), tmp_path)
        client.close()


def checked_out(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def zipped(*members: tuple[str, bytes] | zipfile.ZipInfo, link_to: str = "", **others: int) -> bytes:
    """Return a zip file. A bare ZipInfo is a link to `link_to`."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", others.get("compression", zipfile.ZIP_DEFLATED)) as file:
        for member in members:
            if isinstance(member, tuple):
                file.writestr(*member)
            else:
                member.external_attr = (stat.S_IFLNK | 0o777) << 16
                file.writestr(member, link_to)
    return archive.getvalue()


def tarred(*members: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    """Return a tar file without compression."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as file:
        for member in members:
            if isinstance(member, tuple):
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                file.addfile(info, io.BytesIO(member[1]))
            else:
                file.addfile(member)
    return archive.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_a_folder_holds_exactly_the_files_of_the_record(place: Place, work: Path) -> None:
    files = {"README.md": b"hi\n", "data/deep/x.bin": b"\0\xff" * 1000, "requirements.txt": b"numpy\n", "empty": b""}
    assert place.contents.checkout(place.make(files), work).notes == ()
    assert checked_out(work) == files
    assert place.left() == ["copy"]


def test_several_files_are_not_unpacked_even_if_some_are_archives(place: Place, work: Path) -> None:
    files = {"README.md": b"hi\n", "data.zip": zipped(("a", b"1"))}
    place.contents.checkout(place.make(files), work)
    assert checked_out(work) == files


CONTENT = (("README.md", b"hi\n"), ("lib/a.py", b"1\n" * 50_000))
ARCHIVES: dict[str, Callable[[bytes], bytes]] = {
    "o/r-v1.zip": lambda _: zipped(*CONTENT),
    "r.TAR": lambda plain: plain,
    "r.tar.gz": gzip.compress,
    "r.tgz": lambda plain: gzip.compress(plain[:5000]) + gzip.compress(plain[5000:]),
    "r.tar.bz2": bz2.compress,
    "r.tar.xz": lzma.compress,
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_single_archive_is_unpacked(place: Place, work: Path, name: str) -> None:
    place.contents.checkout(place.make({name: ARCHIVES[name](tarred(*CONTENT))}), work)
    assert checked_out(work) == dict(CONTENT)


def test_a_single_top_folder_of_an_archive_is_removed(place: Place, work: Path) -> None:
    place.contents.checkout(place.make({"r.zip": zipped(("r-1/", b""), ("r-1/r-1/a", b"1"), ("./r-1/b", b"2"))}), work)
    assert checked_out(work) == {"r-1/a": b"1", "b": b"2"}


def test_executable_files_stay_executable(place: Place, work: Path) -> None:
    script = zipfile.ZipInfo("start")
    script.external_attr = (stat.S_IFREG | 0o755) << 16
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(script, "#!/bin/sh\n")
        file.writestr("plain", "x")
    place.contents.checkout(place.make({"r.zip": archive.getvalue()}), work)
    assert os.access(work / "start", os.X_OK)
    assert not os.access(work / "plain", os.X_OK)


def test_links_that_stay_inside_the_folder_are_preserved(place: Place, work: Path) -> None:
    content = tarred(
        ("r/lib/a", b"1"),
        special("r/up", tarfile.SYMTYPE, "lib/../lib/a"),
        special("r/lib/back", tarfile.SYMTYPE, "../lib"),
        special("r/same", tarfile.LNKTYPE, "r/lib/a"),
    )
    place.contents.checkout(place.make({"r.tar": content}), work)
    assert (work / "up").readlink() == Path("lib/../lib/a")
    assert (work / "lib/back/a").read_bytes() == (work / "same").read_bytes() == b"1"


HOSTILE_NAMES = ["../evil", "a/../../evil", "/evil", "a/b/../../../evil", "..", "x" * 300, "d/" * 150 + "x"]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
@pytest.mark.parametrize("kind", ["zip", "tar", "file"])
def test_invalid_names_and_names_that_leave_the_folder_are_refused(
    place: Place, work: Path, kind: str, name: str
) -> None:
    content = {"zip": {"r.zip": zipped((name, b"x"))}, "tar": {"r.tar": tarred((name, b"x"))}, "file": {name: b"x"}}
    with pytest.raises(RepositoryUnusable) as caught:
        place.contents.checkout(place.make(content[kind]), work)
    assert caught.value.facts["why"]
    assert place.left() == []
    assert not (place.root / "evil").exists()
    assert not Path("/evil").exists()


HOSTILE_TARS: dict[str, Members] = {
    "absolute link": [special("l", tarfile.SYMTYPE, "/etc/passwd")],
    "link out": [special("a/l", tarfile.SYMTYPE, "../../x")],
    "link out of its lone folder": [("r/a", b""), special("r/l", tarfile.SYMTYPE, "../../copy")],
    "links that only together lead out": [
        special("l1", tarfile.SYMTYPE, "m/.."),
        special("m", tarfile.SYMTYPE, "."),
        special("z", tarfile.SYMTYPE, "l1/x"),
    ],
    "link that leads to itself twice": [
        special("l1", tarfile.SYMTYPE, "."),
        special("l2", tarfile.SYMTYPE, "l1/l1/../x"),
    ],
    "file below a link": [special("d", tarfile.SYMTYPE, "../out"), ("d/evil", b"x")],
    "link below a link": [special("a", tarfile.SYMTYPE, "b/.."), special("a/evil", tarfile.SYMTYPE, "x")],
    "link made through a link": [special("l", tarfile.SYMTYPE, "../../.."), special("l/evil", tarfile.SYMTYPE, "x")],
    "hard link out": [special("l", tarfile.LNKTYPE, "../../secret")],
    "hard link to an absolute path": [special("l", tarfile.LNKTYPE, "/etc/passwd")],
    "hard link to nothing": [special("l", tarfile.LNKTYPE, "nothing")],
    "device": [special("d", tarfile.CHRTYPE)],
    "pipe": [special("p", tarfile.FIFOTYPE)],
    "same name twice": [("a", b"1"), ("a", b"2")],
    "file below a file": [("a", b"1"), ("a/b", b"2")],
    "folder where a file is": [("a", b"1"), special("a", tarfile.DIRTYPE)],
    "link where a file is": [("a", b"1"), special("a", tarfile.SYMTYPE, "b")],
    "link twice": [special("a", tarfile.SYMTYPE, "b"), special("a", tarfile.SYMTYPE, "c")],
}


@pytest.mark.parametrize("name", HOSTILE_TARS)
def test_archive_members_that_leave_the_folder_are_refused(place: Place, work: Path, name: str) -> None:
    (place.root / "secret").write_text("s")
    (place.root / "out").mkdir()
    content = tarred(*(member for member in HOSTILE_TARS[name] if not isinstance(member, zipfile.ZipInfo)))
    with pytest.raises(RepositoryUnusable) as caught:
        place.contents.checkout(place.make({"r.tar": content}), work)
    assert caught.value.facts["why"]
    assert place.left() == []
    assert list((place.root / "out").iterdir()) == []
    assert not os.path.lexists(place.root / "evil")


@pytest.mark.parametrize("name", [".git/config", "a/.GIT/HEAD", "git~1/config", ".git ", "a/.g\u200cit/config"])
def test_file_names_that_git_treats_as_its_own_are_refused(place: Place, work: Path, name: str) -> None:
    """Files that git would take for its own are refused.

    A build's tools ask git about a folder, and git obeys the folder's configuration.
    """
    archive = place.make({"a.zip": zipped(("README.md", b"hi\n"), (name, b"[core]\n"))})
    with pytest.raises(RepositoryUnusable, match="where git keeps its own"):
        place.contents.checkout(archive, work)
    assert place.left() == []


@pytest.mark.parametrize("target", ["/etc/passwd", "../../x", "x" * 5000, "a\0b", ""])
def test_links_out_of_a_zip_archive_are_refused(place: Place, work: Path, target: str) -> None:
    content = zipped(zipfile.ZipInfo("l"), link_to=target)
    with pytest.raises(RepositoryUnusable):
        place.contents.checkout(place.make({"r.zip": content}), work)
    assert place.left() == []


def encrypted() -> bytes:
    content = bytearray(zipped(("a", b"x")))
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + flags] |= 1
    return bytes(content)


def long_header() -> bytes:
    """Return a tar file with an entry that has an extended header of 20 MB."""
    info = tarfile.TarInfo("a")
    info.pax_headers = {"comment": "x" * 20_000_000}
    return info.tobuf(tarfile.PAX_FORMAT) + b"\0" * 1024


BROKEN: dict[str, bytes] = {
    "encrypted.zip": encrypted(),
    "lzma.zip": zipped(("a", b"x"), compression=zipfile.ZIP_LZMA),
    "cut.zip": zipped(("a", os.urandom(5000)))[:-30],
    "spoiled.zip": zipped(("a", b"x" * 5000)).replace(b"\x00\x04\x00", b"\xff\x04\x00", 1)[:60] + b"\xff" * 200,
    "text.zip": b"this is no zip file",
    "text.tar": b"this is no tar file" * 100,
    "text.tar.gz": b"this is no gzip file",
    "cut.tar.gz": gzip.compress(tarred(("a", os.urandom(5000))))[:-200],
    "cut.tar.xz": lzma.compress(tarred(("a", os.urandom(5000))))[:-200],
    "cut.tar.bz2": bz2.compress(tarred(("a", os.urandom(5000))))[:-200],
    "cut.tar": tarred(("a", os.urandom(5000)))[:2000],
    "two.tar.xz": lzma.compress(tarred(("a", b"1"))) + lzma.compress(tarred(("b", b"2"))),
    "header.tar": long_header(),
    "header.tar.gz": gzip.compress(long_header()),
}


WORDS = {
    "encrypted.zip": "a in it is encrypted",
    "lzma.zip": "a in it is compressed in a way that is not known here",
    "cut.tar.gz": "it ends too early",
    "cut.tar.xz": "it ends too early",
    "two.tar.xz": "it is made of several parts",
    "header.tar": "its headers are too long",
    "text.zip": "it is broken, or of another kind than its name says",
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_error_names_an_archive_that_cannot_be_unpacked(place: Place, work: Path, name: str) -> None:
    with pytest.raises(RepositoryUnusable) as caught:
        place.contents.checkout(place.make({name: BROKEN[name]}), work)
    assert name in str(caught.value.facts["why"])
    assert WORDS.get(name, "") in str(caught.value.facts["why"])
    assert place.left() == []


NAMES = st.lists(st.sampled_from(["a", "b", "..", ".", "", "c d", "\u00e9", "-x"]), min_size=1, max_size=4).map(
    "/".join
)
MEMBERS = st.lists(st.tuples(st.sampled_from("fdlh"), NAMES, NAMES), max_size=8)
KINDS = {"f": tarfile.REGTYPE, "d": tarfile.DIRTYPE, "l": tarfile.SYMTYPE, "h": tarfile.LNKTYPE}


@settings(deadline=None, database=None)
@given(MEMBERS, st.booleans())
def test_no_member_of_any_archive_leaves_its_folder(members: list[tuple[str, str, str]], hoist: bool) -> None:
    with tempfile.TemporaryDirectory() as top:
        inner = Path(top) / "x" / "y"
        inner.mkdir(parents=True)
        archive = inner / "archive"
        archive.write_bytes(tarred(*(special(name, KINDS[kind], target) for kind, name, target in members)))
        room = Room("r", 10**6, 100)
        folder = RecordFolder(inner / "files", room)
        with suppress(RepositoryUnusable):
            unpack(archive, "r.tar", folder, room, lambda: None)
            root = folder.finish(lambda: None, hoist=hoist)
            links = [path for path in root.rglob("*") if path.is_symlink()]
            assert all(Path(os.path.realpath(path)).is_relative_to(root.resolve()) for path in links)
        outside = {path.relative_to(top) for path in Path(top).rglob("*") if not path.is_relative_to(inner / "files")}
        assert {str(path) for path in outside} == {"x", "x/y", "x/y/archive"}


@pytest.mark.parametrize("calls", range(6))
def test_creating_and_checking_links_respects_the_time_limit(tmp_path: Path, calls: int) -> None:
    folder = RecordFolder(tmp_path / "files", Room("r", 10**6, 100))
    for name in "abc":
        folder.add_link(name, "there")
    remaining = iter(range(calls))

    def check() -> None:
        if next(remaining, None) is None:
            raise HostUnreachable(host="h", why="it was stopped")

    with pytest.raises(HostUnreachable):
        folder.finish(check, hoist=False)


def test_a_checkout_can_be_stopped_while_links_are_created(place: Place, work: Path) -> None:
    links = [special(f"link{number}", tarfile.SYMTYPE, "a") for number in range(3)]

    def stopped() -> bool:
        return any(path.is_symlink() for path in work.parent.rglob("*"))

    with pytest.raises(HostUnreachable) as caught:
        place.contents.checkout(place.make({"r.tar": tarred(("a", b"1"), *links)}), work, stopped=stopped)
    assert caught.value.facts["why"] == "it was stopped"
    assert place.left() == []


def test_archives_that_expand_beyond_the_limit_are_refused(place: Place, work: Path) -> None:
    zeros = b"\0" * 3_000_000
    contents = place.limited(max_bytes=1_000_000)
    for name, content in (
        ("r.zip", zipped(("a", zeros))),
        ("r.tar.gz", gzip.compress(tarred(("a", zeros)))),
        ("r.tar.bz2", bz2.compress(tarred(("a", zeros)))),
        ("r.tar.xz", lzma.compress(tarred(("a", zeros)))),
        ("many.zip", zipped(*((f"f{number}", zeros[:300_000]) for number in range(5)))),
    ):
        with pytest.raises(RepositoryTooLarge) as caught:
            contents.checkout(place.make({name: content}), work)
        assert caught.value.facts["limit"] == "1 MB"
        assert place.left() == []


def test_sparse_files_count_with_their_full_size(place: Place, work: Path) -> None:
    info = tarfile.TarInfo("hole")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 512
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:398], header[398:410] = b"00000000000\0", b"00000001000\0"
    header[483:495] = b"77777777777\0"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(RepositoryTooLarge):
        place.limited(max_bytes=1_000_000).checkout(
            place.make({"r.tar": bytes(header) + b"x" * 512 + b"\0" * 1024}), work
        )
    assert place.left() == []


@pytest.mark.parametrize("kind", ["zip", "tar", "folders"])
def test_too_many_entries_are_refused(place: Place, work: Path, kind: str) -> None:
    names = [f"f{number}" for number in range(60)]
    content = {
        "zip": {"r.zip": zipped(*((name, b"") for name in names))},
        "tar": {"r.tar": tarred(*((name, b"") for name in names))},
        "folders": {"r.tar": tarred(("/".join(names), b""))},
    }
    with pytest.raises(RepositoryTooLarge) as caught:
        place.limited(max_files=50).checkout(place.make(content[kind]), work)
    assert caught.value.facts["limit"] == "50 files"
    assert place.left() == []


def test_a_million_entries_cost_little_memory(place: Place, work: Path) -> None:
    name = b"a"
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", 20, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + name
    listed = entry * 1_000_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFE, 0xFFFE, len(listed), 0, 0)
    repository = place.make({"r.zip": listed + end})
    tracemalloc.start()
    try:
        with pytest.raises(RepositoryTooLarge):
            place.contents.checkout(repository, work)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(listed)
    finally:
        tracemalloc.stop()
    assert place.left() == []


@pytest.mark.parametrize("limits", [{"max_bytes": 1000}, {"max_files": 2}])
def test_content_too_large_by_its_listing_is_not_fetched(place: Place, work: Path, limits: dict[str, int]) -> None:
    repository = place.make({"a": b"0" * 400, "b": b"0" * 400, "c": b"0" * 400})
    with pytest.raises(RepositoryTooLarge):
        place.limited(**limits).checkout(repository, work)
    assert not any("content" in path for path in place.host.requests)


@pytest.mark.parametrize(
    ("sent", "word"), [(b"abX", "checksum"), (b"ab", "size"), (b"abcd", "size"), (b"abc" * 100_000, "size")]
)
def test_content_that_differs_from_the_listing_is_an_error_of_the_host(
    place: Place, work: Path, sent: bytes, word: str
) -> None:
    repository = place.make({"a.txt": b"abc"})
    place.host.replies[f"/api/records/{repository.ref}/files/a.txt/content"] = Reply(200, sent)
    with pytest.raises(HostUnreachable) as caught:
        place.contents.checkout(repository, work)
    assert word in str(caught.value.facts["why"])
    assert place.left() == []


@pytest.mark.parametrize(
    ("status", "left", "error"),
    [
        (403, "9", RepositoryUnusable),
        (403, "0", HostLimited),
        (404, "9", RepositoryUnusable),
        (429, "9", HostLimited),
        (500, "9", HostUnreachable),
    ],
)
def test_one_refused_file_fails_the_checkout(
    place: Place, work: Path, status: int, left: str, error: type[BinderyError]
) -> None:
    repository = place.make({"a.txt": b"abc", "b.txt": b"abc"})
    later = {"Retry-After": "4000", "X-RateLimit-Remaining": left}  # longer than any client would wait
    place.host.replies[f"/api/records/{repository.ref}/files/b.txt/content"] = Reply(status, b"", later)
    with pytest.raises(error):
        place.contents.checkout(repository, work)
    assert place.left() == []


@pytest.mark.parametrize("status", [429, 403])
def test_a_file_is_fetched_again_after_the_wait_that_its_host_demands(place: Place, work: Path, status: int) -> None:
    repository = place.make({"a.txt": b"abc", "b.txt": b"abc"})
    path = f"/api/records/{repository.ref}/files/b.txt/content"
    place.host.replies[path] = Reply(status, b"", {"Retry-After": "1", "X-RateLimit-Remaining": "0"})
    waited: list[float] = []

    def stopped() -> bool:
        try:
            place.client.rate_limits.check(place.host.url, time.time())
        except HostLimited as limited:
            waited.append(float(limited.facts["at"]))
            place.host.replies.pop(path, None)  # the host has recovered, and no client may ask it before its time
        return False

    place.contents.checkout(repository, work, stopped=stopped)
    assert checked_out(work) == {"a.txt": b"abc", "b.txt": b"abc"}
    assert len([each for each in place.host.requests if each == path]) == 2
    assert waited
    assert time.time() >= waited[0]


def test_a_checkout_can_be_stopped_while_it_waits_for_a_rate_limit(place: Place, work: Path) -> None:
    repository = place.make({"a.txt": b"abc"})
    path = f"/api/records/{repository.ref}/files/a.txt/content"
    place.host.replies[path] = Reply(429, b"", {"Retry-After": "50"})
    with pytest.raises(HostUnreachable) as caught:
        place.contents.checkout(repository, work, stopped=lambda: path in place.host.requests)
    assert caught.value.facts["why"] == "it was stopped"


def test_a_checkout_stops_retrying_a_host_that_keeps_limiting_requests(place: Place, work: Path) -> None:
    repository = place.make({"a.txt": b"abc"})
    path = f"/api/records/{repository.ref}/files/a.txt/content"
    place.host.replies[path] = Reply(429, b"", {"Retry-After": "0"})
    with pytest.raises(HostLimited):
        place.contents.checkout(repository, work)
    assert place.host.requests.count(path) == MOST_TRIES


class Hurried(SystemClock):
    """A clock that counts ninety seconds in each real one."""

    def __init__(self) -> None:
        self._began = time.time()

    def now(self) -> float:
        return self._began + 90 * (time.time() - self._began)


@pytest.mark.parametrize(("seconds", "asked_for"), [(MOST_WAIT + 1, 1), (0.6 * MOST_WAIT, 2)])
def test_a_build_waits_a_minute_at_most_for_a_rate_limited_file(
    place: Place, work: Path, seconds: float, asked_for: int
) -> None:
    """A build waits at most a minute for a file, because other builds wait for its slot."""
    repository = place.make({"a.txt": b"abc"})
    path = f"/api/records/{repository.ref}/files/a.txt/content"
    place.host.replies[path] = Reply(429, b"", {"Retry-After": f"{seconds:.0f}"})
    clock = Hurried()
    with pytest.raises(HostLimited) as caught:
        RecordContents(lambda _: place.provider, place.client, clock).checkout(repository, work)
    assert place.host.requests.count(path) == asked_for
    assert float(caught.value.facts["at"]) > clock.now()
    assert place.left() == []


@pytest.mark.parametrize("ahead", [0, 10])
def test_a_minute_is_waited_despite_clock_skew_or_an_earlier_short_wait(place: Place, work: Path, ahead: int) -> None:
    repository = place.make({"a.txt": b"abc"})
    path = f"/api/records/{repository.ref}/files/a.txt/content"
    clock = Hurried()
    date = {"Retry-After": formatdate(clock.now() + 60 + ahead, usegmt=True)}
    refusals = [Reply(429, b"", date)] if ahead else [Reply(429, b"", {"Retry-After": "10"}), Reply(429)]
    place.host.replies[path] = refusals[0]

    def stopped() -> bool:
        requests = place.host.requests.count(path)
        if 0 < requests < len(refusals):
            place.host.replies[path] = refusals[requests]
        elif requests:
            place.host.replies.pop(path, None)
        return False

    RecordContents(lambda _: place.provider, place.client, clock).checkout(repository, work, stopped=stopped)
    assert checked_out(work) == {"a.txt": b"abc"}
    assert place.host.requests.count(path) == len(refusals) + 1


def test_each_file_of_a_record_has_its_own_wait(place: Place, work: Path) -> None:
    files = {f"{letter}.txt": b"abc" for letter in "abc"}
    repository = place.make(files)
    waits = {f"/api/records/{repository.ref}/files/{name}/content" for name in files}
    headers = {"Retry-After": f"{0.6 * MOST_WAIT:.0f}"}
    place.host.replies = {path: Reply(429, b"", headers) for path in waits}

    def stopped() -> bool:
        for path in waits & set(place.host.requests):
            place.host.replies.pop(path, None)
        return False

    RecordContents(lambda _: place.provider, place.client, Hurried()).checkout(repository, work, stopped=stopped)
    assert checked_out(work) == files
    assert all(place.host.requests.count(path) == 2 for path in waits)


def test_a_rate_limit_counts_for_the_host_that_stores_the_files(place: Place, work: Path) -> None:
    """The host that keeps the files is the one that limits requests.

    A redirect leads there, and the first host continues to answer.
    """
    repository = place.make({"a": b"1"})
    port = place.host.address.rpartition(":")[2]
    entry = {"key": "a", "size": 1, "links": {"content": f"http://localhost:{port}/a"}}
    place.host.replies[f"/api/records/{repository.ref}/files"] = Reply(200, {"entries": [entry]})
    place.host.replies["/a"] = moved(f"{place.host.url}/bucket")
    place.host.replies["/bucket"] = Reply(429, b"", {"Retry-After": "4000"})
    client = GuardedClient([place.host.address, f"localhost:{port}"])
    contents = RecordContents(lambda _: place.provider, client, SystemClock())
    for _ in range(2):
        with pytest.raises(HostLimited) as caught:
            contents.checkout(repository, work)
        assert caught.value.facts["host"] == "127.0.0.1"
    assert (place.host.requests.count("/a"), place.host.requests.count("/bucket")) == (2, 1)


def test_a_host_with_an_exhausted_request_quota_is_not_requested_again(place: Place, work: Path) -> None:
    """A host that counts requests, as Zenodo does with each file, is waited for before it refuses one."""
    repository = place.make({"a.txt": b"abc", "b.txt": b"abc"})
    path = f"/api/records/{repository.ref}/files/a.txt/content"
    place.host.replies[path] = Reply(200, b"abc", {"X-RateLimit-Remaining": "0", "Retry-After": "4000"})
    with pytest.raises(HostLimited):
        place.contents.checkout(repository, work)
    assert not any("b.txt/content" in each for each in place.host.requests)


def test_a_record_without_files_is_unusable(place: Place, work: Path) -> None:
    with pytest.raises(RepositoryUnusable):
        place.contents.checkout(place.make({}), work)


def test_a_record_deleted_after_it_was_resolved_is_not_found(place: Place, work: Path) -> None:
    repository = place.make({"a": b"1"})
    place.host.replies[f"/api/records/{repository.ref}/files"] = Reply(410)
    with pytest.raises(RepositoryNotFound):
        place.contents.checkout(repository, work)


def test_the_guard_checks_addresses_of_files_and_redirects(place: Place, work: Path) -> None:
    repository = place.make({"a": b"1"})
    with Zenodo(place.host.dois) as inside:
        inside.replies["/secret"] = Reply(200, b"1")
        for reply in (
            moved(f"{inside.url}/secret"),
            moved("http://169.254.169.254/latest"),
            moved("file:///etc/passwd"),
        ):
            place.host.replies[f"/api/records/{repository.ref}/files/a/content"] = reply
            with pytest.raises(BinderyError) as caught:
                place.contents.checkout(repository, work)
            assert type(caught.value).__name__ in {"ForbiddenAddress", "BadAddress"}
        entry = {"key": "a", "size": 1, "checksum": "", "links": {"content": f"{inside.url}/secret"}}
        place.host.replies[f"/api/records/{repository.ref}/files"] = Reply(200, {"entries": [entry]})
        with pytest.raises(ForbiddenAddress):
            place.contents.checkout(repository, work)
        assert inside.requests == []
    assert place.left() == []


def test_redirects_to_the_storage_of_the_files_are_followed(place: Place, work: Path) -> None:
    repository = place.make({"a": b"1"})
    place.host.replies["/bucket"] = Reply(200, b"1")
    place.host.replies[f"/api/records/{repository.ref}/files/a/content"] = moved(
        f"{place.host.url}/bucket?signature=x%2Fy"
    )
    place.contents.checkout(repository, work)
    assert checked_out(work) == {"a": b"1"}


def test_a_checkout_can_be_stopped_during_a_slow_download(place: Place, work: Path) -> None:
    repository = place.make({"a": b"12"})
    stop = threading.Event()

    def drip(_: bytes) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n1"
        stop.set()
        server.closing.wait(20)

    with ScriptedServer(drip) as server:
        client = GuardedClient([place.host.address, server.address])
        entry = {"key": "a", "size": 2, "links": {"content": f"{server.url}/a"}}
        place.host.replies[f"/api/records/{repository.ref}/files"] = Reply(200, {"entries": [entry]})
        began = time.monotonic()
        with pytest.raises(HostUnreachable) as caught:
            RecordContents(lambda _: place.provider, client, SystemClock()).checkout(
                repository, work, stopped=stop.is_set
            )
        assert caught.value.facts["why"] == "it was stopped"
        assert time.monotonic() - began < 5
        stop.clear()
        with pytest.raises(HostUnreachable):
            RecordContents(lambda _: place.provider, client, SystemClock()).checkout(repository, work, seconds=0.5)
    assert place.left() == []


def test_a_checkout_can_be_stopped_during_a_slow_listing(place: Place, work: Path) -> None:
    repository = place.make({"a": b"12"})
    stop = threading.Event()

    def silent(_: bytes) -> Iterator[bytes]:
        stop.set()
        server.closing.wait(20)
        yield b""

    with ScriptedServer(silent) as server:
        place.host.replies[f"/api/records/{repository.ref}/files"] = moved(f"{server.url}/files")
        client = GuardedClient([place.host.address, server.address])
        dois = Dois(client, SystemClock(), place.host.dois.url)
        provider = ZenodoProvider(client, DictTable(), SystemClock(), dois, api_url=place.host.api)
        contents = RecordContents(lambda _: provider, client, SystemClock())
        for seconds, stopped in ((60.0, stop.is_set), (0.5, never_stopped)):
            began = time.monotonic()
            with pytest.raises(HostUnreachable):
                contents.checkout(repository, work, seconds, stopped)
            assert time.monotonic() - began < 5
    assert place.left() == []


def test_git_repositories_and_records_each_get_their_own_kind_of_content(place: Place, work: Path) -> None:
    served = place.root / "served"
    served.mkdir()
    commit = make_repository(served / "r.git", {"README.md": "git\n"})
    with GitServer(served) as server:
        client = GuardedClient([server.address, place.host.address])
        contents = AnyContents(place.root / "cache", client, SystemClock(), lambda _: place.provider)
        url = server.url("r.git")
        words = {"spec": "s", "resolved_spec": "s", "clone_url": url, "repo_url": url, "ref_url": url}
        contents.checkout(Repository(provider="git", ref=commit, **words), work)
        assert (work / ".git").is_dir()
        contents.checkout(place.make({"a": b"1"}), work.with_name("record"))
        assert checked_out(work.with_name("record")) == {"a": b"1"}
