"""Files kept in Git LFS: in the working copy, or left as pointers with a note that gives the reason."""

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from bindery.adapters.clock import SystemClock
from bindery.adapters.git.refused_apis import RefusedApis
from bindery.adapters.http.client import GuardedClient
from bindery.adapters.http.host_limits import AT_ONCE
from bindery.adapters.http.rate_limits import LONGEST_WAIT_ELSEWHERE
from bindery.domain.errors import BadAddress, HostLimited, HostUnreachable
from bindery.domain.repository import Repository
from bindery_builder.contents import lfs
from bindery_builder.contents.copying import Source
from bindery_builder.contents.git import GitContents
from bindery_local.sessions.working_copy import copy_folder
from tests.serving.git_http import File, GitServer, git, make_repository
from tests.serving.lfs_store import OBJECTS, LfsStore, Reply, pointer

Files = Mapping[str, str | bytes | File]
MARKED = "*.bin filter=lfs diff=lfs merge=lfs -text\n"
SHOWN = "Basic c2VjcmV0"


@dataclass
class Place:
    """Two servers of repositories and of Git LFS."""

    server: GitServer
    elsewhere: GitServer
    client: GuardedClient
    root: Path

    @property
    def store(self) -> LfsStore:
        assert self.server.lfs
        return self.server.lfs

    @property
    def work(self) -> Path:
        return self.root / "work" / "copy"

    def contents(self, refused: RefusedApis | None = None, **limits: int) -> GitContents:
        return GitContents(
            self.root / "cache",
            self.client,
            SystemClock(),
            authorization=lambda repository: SHOWN if repository.private else "",
            refused=refused,
            **limits,
        )

    def make(self, files: Files, name: str = "r.git", *, private: bool = False) -> Repository:
        """Return a repository with a `.gitattributes` that marks `*.bin`, unless `files` has another one."""
        ref, url = make_repository(self.server.root / name, {".gitattributes": MARKED, **files}), self.server.url(name)
        words = {"provider": "git", "spec": "s", "resolved_spec": "s", "repo_url": url, "ref_url": url}
        return Repository(ref=ref, clone_url=url, private=private, **words)

    def notes(self, files: Files, **limits: int) -> tuple[str, ...]:
        return self.contents(None, **limits).checkout(self.make(files), self.work).notes

    def read(self, path: str) -> bytes:
        return (self.work / path).read_bytes()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    for name in ("served", "elsewhere", "work"):
        (tmp_path / name).mkdir()
    with GitServer(tmp_path / "served") as server, GitServer(tmp_path / "elsewhere") as elsewhere:
        for each in (server, elsewhere):
            each.lfs = LfsStore(f"http://{each.address}")
        client = GuardedClient([server.address, elsewhere.address])
        yield Place(server, elsewhere, client, tmp_path)
        client.close()


def in_git(folder: Path, *arguments: str) -> str:
    return git("-C", folder, *arguments).decode().strip()


def test_objects_replace_their_pointers_and_git_sees_no_change(place: Place) -> None:
    content = b"large" * 100_000
    files: Files = {"data/x.bin": place.store.add(content), "run.bin": File(place.store.add(b"#!"), 0o100755), "a": "b"}
    assert place.notes(files) == ()
    assert place.read("data/x.bin") == content
    assert place.read("run.bin") == b"#!"
    assert (place.work / "run.bin").stat().st_mode & 0o100
    assert in_git(place.work, "status", "--porcelain") == ""
    assert in_git(place.work, "show", "HEAD:data/x.bin").startswith("version https://git-lfs")
    assert sorted(path.name for path in (place.work / ".git").iterdir() if "incoming" in path.name) == []
    (place.work / "data/x.bin").write_bytes(b"mine")
    assert in_git(place.work, "status", "--porcelain") == "M data/x.bin"


def test_a_copy_of_the_working_copy_is_clean_too(place: Place) -> None:
    place.notes({"x.bin": place.store.add(b"large" * 1000), "a": "b"})
    time.sleep(1.1)  # a copy made later, as a session's copy is
    copy_folder(place.work, place.root / "work" / "second")
    shutil.rmtree(place.work)
    assert in_git(place.root / "work" / "second", "status", "--porcelain") == ""


def test_objects_of_a_submodule_come_from_its_own_server(place: Place) -> None:
    inner = place.make({"in.bin": place.store.add(b"inner")}, "inner.git")
    listed = '[submodule "m"]\n\tpath = m\n\turl = ../inner.git\n'
    assert place.notes({"m": File(inner.ref, 0o160000), ".gitmodules": listed}) == ()
    assert place.read("m/in.bin") == b"inner"
    assert [path for method, path, _ in place.store.requests if method == "POST"] == [
        "/inner.git/info/lfs/objects/batch"
    ]
    assert in_git(place.work, "status", "--porcelain") == ""


def test_objects_and_submodules_are_never_requested_at_the_address_of_an_api(place: Place) -> None:
    api = f"http://{place.elsewhere.address}"
    listed = f'[submodule "m"]\n\tpath = m\n\turl = {api}/inner.git\n'
    repository = place.make({"x.bin": place.store.add(b"large"), "m": File("1" * 40, 0o160000), ".gitmodules": listed})
    place.store.base = api
    notes = "\n".join(place.contents(RefusedApis([api])).checkout(repository, place.work).notes)
    assert notes.count("asked by its API") == 2
    assert place.elsewhere.requests == []


def test_each_object_is_fetched_once(place: Place) -> None:
    repository = place.make({"x.bin": place.store.add(b"large"), "y.bin": place.store.add(b"large")})
    contents = place.contents()
    for number in range(3):
        contents.checkout(repository, place.root / "work" / f"w{number}")
    assert [method for method, _, _ in place.store.requests] == ["POST", "GET"]
    assert (place.root / "work/w2/y.bin").read_bytes() == b"large"


def test_an_object_that_is_corrupt_on_disk_is_detected(place: Place) -> None:
    repository = place.make({"x.bin": place.store.add(b"large")})
    contents = place.contents()
    contents.checkout(repository, place.work)
    for pack in (place.root / "cache").glob("*/*/objects.pack"):
        if pack.read_bytes() == b"large":
            pack.write_bytes(b"spoil")
    second = place.root / "work" / "second"
    (note,) = contents.checkout(repository, second).notes
    assert "x.bin" in note
    assert (second / "x.bin").read_text(encoding="utf-8") == pointer(b"large")
    third = place.root / "work" / "third"
    assert contents.checkout(repository, third).notes == ()
    assert (third / "x.bin").read_bytes() == b"large"


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(404), "does not give them out (status 404)"),
        (Reply(401), "does not give them out (status 401)"),
        (Reply(501), "status 501"),
        (Reply(302, headers={"Location": "/elsewhere"}), "status 302"),
        (Reply(200, b"<html>"), "not that of a Git LFS server"),
        (Reply(200, b'{"objects": [{"oid": 1}]}'), "not that of a Git LFS server"),
        (Reply(200, b"[" * 100_000), "not that of a Git LFS server"),
        (Reply(200, b"x" * 4_000_001), "over the limit"),
        (Reply(200, b'{"objects": []}'), "does not have them"),
    ],
    ids=lambda value: None if isinstance(value, str) else f"{value.status} {value.content[:12]!r}",
)
def test_a_server_that_refuses_objects_leaves_pointers_and_a_note(place: Place, reply: Reply, why: str) -> None:
    text = place.store.add(b"large")
    place.store.batch = reply
    (note,) = place.notes({"x.bin": text, "y.bin": pointer(b"other")})
    assert why in note
    assert note.startswith("2 files are kept in Git LFS and missing here")
    assert "x.bin" in note
    assert place.read("x.bin").decode() == text
    assert in_git(place.work, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(500), "status 500"),
        (Reply(404), "status 404"),
        (Reply(200, b"LARGE"), "something else"),
        (Reply(200, b"larg"), "something else"),
        (Reply(200, b"x" * 2_000_000), "over the limit"),
        (Reply(302, headers={"Location": "http://169.254.169.254/latest"}), "private or reserved"),
    ],
    ids=lambda value: None if isinstance(value, str) else f"{value.status} {value.content[:5]!r}",
)
def test_an_object_that_differs_from_its_pointer_is_refused(place: Place, reply: Reply, why: str) -> None:
    text = place.store.add(b"large")
    place.store.downloads = reply
    (note,) = place.notes({"x.bin": text})
    assert why in note
    assert place.read("x.bin").decode() == text
    assert list((place.root / "cache").glob("*/.aside-*")) == []


@pytest.mark.parametrize("base", ["http://127.0.0.1:9", "http://169.254.169.254", "file:///etc", "ftp://example.org"])
def test_the_guard_checks_addresses_of_objects(place: Place, base: str) -> None:
    text = place.store.add(b"large")
    place.store.base = base
    (note,) = place.notes({"x.bin": text})
    assert "x.bin" in note
    assert place.read("x.bin").decode() == text


def moved_out(place: Place) -> LfsStore:
    """Return the store of the second host, which the first host's server names as the place of its objects."""
    assert place.elsewhere.lfs
    place.store.base = f"http://{place.elsewhere.address}"
    return place.elsewhere.lfs


def test_a_redirect_of_an_object_to_the_address_of_an_api_is_refused(place: Place) -> None:
    elsewhere = place.elsewhere.lfs
    assert elsewhere
    elsewhere.add(b"large")
    text = place.store.add(b"large")
    path = f"{OBJECTS}{sha256(b'large').hexdigest()}"
    place.store.downloads = Reply(302, headers={"Location": f"{elsewhere.base}{path}"})
    refused = RefusedApis([elsewhere.base])
    (note,) = place.contents(refused).checkout(place.make({"x.bin": text}), place.work).notes
    assert "is asked by its API" in note
    assert elsewhere.requests == []


def test_downloads_of_objects_do_not_wait_for_other_requests(place: Place) -> None:
    elsewhere = moved_out(place)
    elsewhere.add(b"large")
    text = place.store.add(b"large")
    with ExitStack() as held:
        for _ in range(AT_ONCE):
            held.enter_context(place.client.exchange(elsewhere.base))
        assert place.notes({"x.bin": text}) == ()


@pytest.mark.parametrize(
    "reply",
    [Reply(429, headers={"Retry-After": "600"}), Reply(503, headers={"Retry-After": "600"}), Reply(403, b"rate limit")],
    ids=lambda reply: str(reply.status),
)
def test_a_rate_limit_of_the_host_of_an_object_is_remembered(place: Place, reply: Reply) -> None:
    elsewhere = moved_out(place)
    elsewhere.downloads = reply
    files: Files = {name: place.store.add(name.encode()) for name in ("x.bin", "y.bin")}
    place.notes(files)
    assert len(elsewhere.requests) == 1
    now = SystemClock().now()
    with pytest.raises(HostLimited):
        place.client.rate_limits.check(place.store.base, now)
    place.client.rate_limits.check(place.server.url("r.git"), now)


def test_a_rate_limit_at_the_address_of_an_object_lasts_minutes_at_most(place: Place) -> None:
    elsewhere = moved_out(place)
    elsewhere.downloads = Reply(429, headers={"Retry-After": "86400"})
    place.notes({"x.bin": place.store.add(b"large")})
    now = SystemClock().now()
    with pytest.raises(HostLimited):
        place.client.rate_limits.check(place.store.base, now)
    place.client.rate_limits.check(place.store.base, now + LONGEST_WAIT_ELSEWHERE)


def test_an_object_is_not_fetched_while_its_host_limits_requests(place: Place) -> None:
    elsewhere = moved_out(place)
    text = place.store.add(b"large")
    elsewhere.add(b"large")
    place.client.rate_limits.record(place.store.base, {"Retry-After": "600"}, SystemClock().now())
    (note,) = place.notes({"x.bin": text})
    assert "x.bin" in note
    assert elsewhere.requests == []


def test_a_rate_limit_of_the_host_of_an_object_applies_to_its_credential_only(place: Place) -> None:
    elsewhere = moved_out(place)
    text = place.store.add(b"large")
    elsewhere.downloads = Reply(429, headers={"Retry-After": "600"})
    place.store.header = {"authorization": "RemoteAuth t0ken"}
    place.notes({"x.bin": text})
    now = SystemClock().now()
    place.client.rate_limits.check(place.store.base, now)
    with pytest.raises(HostLimited):
        place.client.rate_limits.check(place.store.base, now, "RemoteAuth t0ken")


def test_objects_of_an_https_repository_are_not_fetched_over_http() -> None:
    action = lfs._Action(href="http://example.org/x")
    large_file = lfs._Pointer(b"x", "0" * 64, 1, 1)
    source = Source("https://example.org/r", "1" * 40)
    with pytest.raises(BadAddress, match="leave https"):
        lfs.LargeFiles._download(None, source, large_file, action, None, Path())  # type: ignore[arg-type] # refused before


def test_the_authorization_of_a_private_repository_is_sent_to_its_own_server_only(place: Place) -> None:
    assert place.elsewhere.lfs
    content = b"large"
    text = place.store.add(content)
    place.elsewhere.lfs.add(content)
    place.store.base = f"http://{place.elsewhere.address}"
    place.server.private["/r.git/"] = SHOWN
    repository = place.make({"x.bin": text}, private=True)
    assert place.contents().checkout(repository, place.work).notes == ()
    assert place.read("x.bin") == content
    assert [headers.get("authorization") for _, _, headers in place.store.requests] == [SHOWN]
    assert [headers.get("authorization") for _, _, headers in place.elsewhere.lfs.requests] == [None]
    assert place.elsewhere.authorizations == []


def test_headers_that_an_lfs_server_demands_are_sent_to_that_address(place: Place) -> None:
    text = place.store.add(b"large")
    place.store.header = place.store.required = {"Authorization": "RemoteAuth t0ken", "X-Part": "1"}
    assert place.notes({"x.bin": text}) == ()
    place.store.required = {}
    place.store.header = {
        "Host": "metadata",
        "Cookie": "a",
        "Range": "bytes=0-1",
        "Bad name": "x",
        "X-Long": "a\r\nb: c",
    }
    assert (
        place.contents().checkout(place.make({"y.bin": place.store.add(b"other")}), place.root / "work/w").notes == ()
    )
    assert not {"bad name", "x-long", "b", "cookie", "range"} & place.store.requests[-1][2].keys()
    assert place.store.requests[-1][2]["host"] == place.server.address


def test_objects_count_toward_the_size_of_the_working_copy(place: Place) -> None:
    files: Files = {f"{n}.bin": place.store.add(bytes([n]) * 60_000) for n in range(4)}
    (note,) = place.notes(files, max_bytes=150_000)
    assert note.startswith("2 files")
    assert "over the limit (150 kB)" in note
    assert place.read("0.bin") == bytes([0]) * 60_000
    assert sum(method == "GET" for method, _, _ in place.store.requests) == 2


def test_an_object_over_the_size_limit_is_not_downloaded(place: Place) -> None:
    (note,) = place.notes({"x.bin": pointer(b"x", 10**14)})
    assert "over the limit" in note
    assert [method for method, _, _ in place.store.requests] == ["POST"]


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({".gitattributes": "*.bin -text\n", "x.bin": pointer(b"large")}, "no .gitattributes"),
        ({".gitattributes": "", "other/.gitattributes": MARKED, "x.bin": pointer(b"large")}, "no .gitattributes"),
        ({"x.bin": pointer(b"large").replace("sha256", "sha512")}, "version 1"),
        ({"x.bin": pointer(b"large") + "more\n"}, "version 1"),
    ],
)
def test_a_file_that_git_lfs_would_not_treat_as_a_pointer_is_unchanged(place: Place, files: Files, why: str) -> None:
    place.store.add(b"large")
    (note,) = place.notes(files)
    assert why in note
    assert place.store.requests == []


def test_a_link_with_the_text_of_a_pointer_stays_a_link(place: Place) -> None:
    assert place.notes({"x.bin": File(pointer(b"large").rstrip(), 0o120000)}) == ()
    assert (place.work / "x.bin").is_symlink()


def test_objects_beyond_the_batch_size_are_fetched_in_several_batches(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lfs, "BATCH", 2)
    monkeypatch.setattr(lfs, "MOST_OBJECTS", 5)
    (note,) = place.notes({f"{n}.bin": place.store.add(b"%d" % n) for n in range(6)})
    assert "only 5 files" in note
    assert [place.read(f"{n}.bin") for n in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
    assert sum(method == "POST" for method, _, _ in place.store.requests) == 3


def test_after_some_failed_objects_the_others_are_not_requested(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lfs, "MOST_FAILURES", 3)
    place.store.downloads = Reply(404)
    (note,) = place.notes({f"{n}.bin": place.store.add(b"%d" % n) for n in range(9)})
    assert note.startswith("9 files")
    assert sum(method == "GET" for method, _, _ in place.store.requests) == 3


def test_a_checkout_stopped_during_the_download_of_objects_ends(place: Place) -> None:
    repository = place.make({"x.bin": place.store.add(b"large")})
    with pytest.raises(HostUnreachable, match="stopped"):
        place.contents().checkout(repository, place.work, stopped=lambda: bool(place.store.requests))
    assert not place.work.exists()
