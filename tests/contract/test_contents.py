"""The contents port's contract, on working copies made from a real git server."""

import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bindery.adapters.clock import SystemClock
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import (
    HostUnreachable,
    RefNotFound,
    RepositoryNotFound,
    RepositoryUnusable,
)
from bindery_builder.contents.git import GitContents
from bindery_builder.contents.work_tree import Read, Room, Written, write_tree
from tests.serving.git_http import ENVIRONMENT, File
from tests.serving.working_copies import (
    Dripping,
    Place,
    dripping,
    hand_made,
    in_git,
    inner_tree,
    names,
    place,
    stored,
)

__all__ = ["dripping", "place"]  # fixtures
LFS_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def test_a_working_copy_holds_exactly_the_files_of_its_commit(place: Place, work: Path) -> None:
    repository = place.make(
        {"README.md": "hi\n", "lib/deep/er.txt": b"\0\xff", "run": File("#!/bin/sh\n", 0o100755), "e": ""}
    )
    assert place.contents.checkout(repository, work).notes == ()
    files = {str(path.relative_to(work)) for path in work.rglob("*") if path.is_file() and ".git" not in path.parts}
    assert files == {"README.md", "lib/deep/er.txt", "run", "e"}
    assert (work / "lib/deep/er.txt").read_bytes() == b"\0\xff"
    assert os.access(work / "run", os.X_OK)
    assert not os.access(work / "README.md", os.X_OK)


def test_a_working_copy_is_clean_at_its_commit_for_git(place: Place, work: Path) -> None:
    repository = place.make(
        {"README.md": "hi\n", "run": File("#!/bin/sh\n", 0o100755), "l": File("README.md", 0o120000), "d/e": "f"}
    )
    place.contents.checkout(repository, work)
    assert in_git(work, "fsck", "--no-dangling") == ""
    assert in_git(work, "rev-parse", "HEAD") == repository.ref
    assert in_git(work, "status", "--porcelain") == ""
    assert in_git(work, "remote", "get-url", "origin") == repository.clone_url
    assert in_git(work, "rev-parse", "--is-shallow-repository") == "false"
    (work / "README.md").write_text("changed\n", encoding="utf-8")
    assert in_git(work, "status", "--porcelain") == "M README.md"
    in_git(work, "checkout", "README.md")
    assert (work / "README.md").read_text(encoding="utf-8") == "hi\n"


def test_git_pull_works_in_a_working_copy(place: Place, work: Path) -> None:
    place.contents.checkout(place.make({"README.md": "hi\n"}), work)
    place.make({"README.md": "new\n"})
    in_git(work, "pull", "--quiet", "origin", "main")
    assert (work / "README.md").read_text(encoding="utf-8") == "new\n"


def test_an_older_commit_is_checked_out_with_its_own_files(place: Place, work: Path) -> None:
    first = place.make({"README.md": "old\n"})
    place.make({"README.md": "new\n"})
    place.contents.checkout(first, work)
    assert (work / "README.md").read_text(encoding="utf-8") == "old\n"


def test_a_second_checkout_sends_no_request(place: Place, work: Path) -> None:
    repository = place.make({"README.md": "hi\n"})
    place.contents.checkout(repository, work)
    count = len(place.server.requests)
    place.contents.checkout(repository, work.with_name("second"))
    assert len(place.server.requests) == count == 4
    assert (work.with_name("second") / "README.md").read_text(encoding="utf-8") == "hi\n"


def test_changes_in_one_session_are_invisible_in_others(place: Place, work: Path) -> None:
    repository = place.make({"README.md": "hi\n"})
    place.contents.checkout(repository, work)
    for path in [work / "README.md", *work.glob(".git/objects/pack/*")]:
        path.write_bytes(b"spoiled")
    place.contents.checkout(repository, work.with_name("second"))
    assert (work.with_name("second") / "README.md").read_text(encoding="utf-8") == "hi\n"
    assert in_git(work.with_name("second"), "fsck", "--no-dangling") == ""


def test_a_corrupt_cache_is_detected_and_fetched_again(place: Place, work: Path) -> None:
    repository = place.make({"README.md": "hi\n"})
    place.contents.checkout(repository, work)
    for path in (place.root / "cache").glob("*/*/*"):
        path.write_bytes(b"\0" * path.stat().st_size)
    place.contents.checkout(repository, work.with_name("second"))
    assert (work.with_name("second") / "README.md").read_text(encoding="utf-8") == "hi\n"


def test_links_are_checked_out_as_links_even_to_targets_outside(place: Place, work: Path) -> None:
    place.contents.checkout(
        place.make({"in": File("README.md", 0o120000), "out": File("../../../etc/passwd", 0o120000)}), work
    )
    assert (work / "in").readlink() == Path("README.md")
    assert (work / "out").readlink() == Path("../../../etc/passwd")


def test_file_names_that_are_not_utf8_or_differ_only_in_case_are_preserved(place: Place, work: Path) -> None:
    place.contents.checkout(
        place.make({"caf\udce9": "1", "A": "2", "a": "3", "back\\slash": "4", "new\nline": "5"}), work
    )
    entries = {os.fsencode(name) for name in names(work)}
    assert entries == {b".git", b"caf\xe9", b"A", b"a", b"back\\slash", b"new\nline"}
    assert in_git(work, "status", "--porcelain") == ""


def test_no_file_is_written_through_a_link(place: Place, work: Path) -> None:
    outside = place.root / "outside"
    outside.mkdir()
    evil = inner_tree(place, b"b", b"evil")
    target = str(outside).encode()
    for entries in (
        [(b"a", 0o120000, target), (b"a", 0o040000, evil)],
        [(b"a", 0o040000, evil), (b"a", 0o120000, target)],
    ):
        with pytest.raises(RepositoryUnusable):
            place.contents.checkout(hand_made(place, *entries), work)
        assert place.left() == []
    assert names(outside) == []


DISGUISES = [".GIT", ".Git", "git~1", "GIT~1", ".git.", ".git ", ".git::$INDEX", ".g\u200cit"]


@pytest.mark.parametrize(
    "name",
    [b".git", *(name.encode() for name in DISGUISES), b"..", b".", b"../x", b"/x", b"a/b", b"x" * 256],
)
@pytest.mark.parametrize("mode", [0o100644, 0o040000, 0o120000])
def test_file_names_with_a_special_meaning_are_refused(place: Place, work: Path, name: bytes, mode: int) -> None:
    content = inner_tree(place, b"config", b"[core]\n\tfsmonitor = id\n") if mode == 0o040000 else b"evil"
    with pytest.raises(RepositoryUnusable) as caught:
        place.contents.checkout(hand_made(place, (name, mode, content)), work)
    assert caught.value.facts["why"]
    assert place.left() == []


def test_a_git_folder_below_another_folder_is_refused(place: Place, work: Path) -> None:
    config = inner_tree(place, b"config", b"x")
    inner = b"40000 .GIT\0" + bytes.fromhex(stored(place.server.root / "r.git", "tree", config))
    with pytest.raises(RepositoryUnusable):
        place.contents.checkout(hand_made(place, (b"lib", 0o040000, inner)), work)


def test_a_duplicate_file_name_is_refused(place: Place, work: Path) -> None:
    with pytest.raises(RepositoryUnusable):
        place.contents.checkout(hand_made(place, (b"a", 0o100644, b"1"), (b"a", 0o100644, b"2")), work)
    assert place.left() == []


def test_folders_nested_too_deeply_are_refused(place: Place, work: Path) -> None:
    with pytest.raises(RepositoryUnusable):
        place.contents.checkout(place.make({"d/" * 150 + "x": "1"}), work)
    assert place.left() == []


def test_missing_lfs_content_is_mentioned_in_a_note(place: Place, work: Path) -> None:
    notes = place.contents.checkout(place.make({"data/x.bin": LFS_POINTER, "a.txt": "version 1"}), work).notes
    assert len(notes) == 1
    assert "data/x.bin" in notes[0]
    assert "LFS" in notes[0]
    assert (work / "data/x.bin").read_text(encoding="utf-8") == LFS_POINTER


def test_a_missing_commit_or_repository_is_reported(place: Place, work: Path) -> None:
    place.make({"a": "b"})
    with pytest.raises(RefNotFound):
        place.contents.checkout(place.repository("1" * 40), work)
    with pytest.raises(RepositoryNotFound):
        place.contents.checkout(place.repository("1" * 40, "nosuch.git"), work)
    assert place.left() == []


def test_an_interrupted_answer_means_an_unreachable_host_and_is_not_cached(place: Place, work: Path) -> None:
    repository = place.make({"a": "b"})
    place.server.answers["/r.git/git-upload-pack"] = (200, {"Content-Type": "application/x-git-upload-pack-result"})
    with pytest.raises(HostUnreachable):
        place.contents.checkout(repository, work)
    place.server.answers.clear()
    place.contents.checkout(repository, work)
    assert (work / "a").exists()


def test_concurrent_checkouts_fetch_once(place: Place, work: Path) -> None:
    repository = place.make({"README.md": "hi\n"})
    threads = [
        threading.Thread(target=place.contents.checkout, args=(repository, work.with_name(f"w{n}"))) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert place.left() == [f"w{number}" for number in range(8)]
    assert sum(request.startswith("POST") for request in place.server.requests) == 3  # files, refs, history


def test_remains_of_a_crash_are_never_used(place: Place, work: Path) -> None:
    repository = place.make({"README.md": "hi\n"})
    place.contents.checkout(repository, work)
    entry = next((place.root / "cache").glob("*/*"))
    half = entry.with_name(".aside-0123")
    half.mkdir()
    (half / "objects.pack").write_bytes(b"PACK")
    os.utime(half, (0, 0))
    place.contents.checkout(repository, work.with_name("second"))
    place.contents.evict(10**9)
    assert not half.exists()
    assert entry.exists()


def kept_files(cache: Path) -> list[Path]:
    """Return the entries that hold a commit's files; histories are small."""
    return [pack.parent for pack in cache.glob("*/[0-9a-f]*/objects.pack") if pack.stat().st_size > 40_000]


def test_the_least_recently_used_entry_is_evicted_first(place: Place, work: Path) -> None:
    first = place.make({"a": os.urandom(50_000)})
    second = place.make({"a": os.urandom(50_000)})
    for number, repository in enumerate((first, second, first)):
        place.contents.checkout(repository, work.with_name(f"w{number}"))
    for entry in (place.root / "cache").glob("*/*"):
        os.utime(entry, (1, 1) if entry.name == second.ref else None)
    assert 0 < place.contents.evict(80_000) <= 80_000
    assert [entry.name for entry in kept_files(place.root / "cache")] == [first.ref]
    assert place.contents.evict(0) == 0
    place.contents.checkout(second, work.with_name("again"))


def test_the_cache_stays_within_its_size_limit_by_itself(place: Place) -> None:
    contents = place.other(cache_bytes=80_000)
    for number in range(3):
        repository = place.make({"a": os.urandom(50_000)})
        contents.checkout(repository, place.root / "work" / f"w{number}")
    assert len(kept_files(place.root / "other cache")) == 1


def test_eviction_during_a_checkout_leaves_it_complete(place: Place, work: Path) -> None:
    repository = place.make({"README.md": "hi\n"})
    done = threading.Event()

    def evict() -> None:
        while not done.is_set():
            place.contents.evict(0)

    thread = threading.Thread(target=evict)
    thread.start()
    try:
        for number in range(10):
            place.contents.checkout(repository, work.with_name(f"w{number}"))
    finally:
        done.set()
        thread.join()
    assert len(place.left()) == 10


def test_git_attributes_run_nothing(place: Place, work: Path) -> None:
    """A repository's filters, hooks and attributes have no effect while its files are written."""
    place.contents.checkout(place.make({".gitattributes": "* filter=evil eol=crlf ident\n", "a.txt": "$Id$\n"}), work)
    assert (work / "a.txt").read_bytes() == b"$Id$\n"
    status = subprocess.run(
        ["git", "-C", work, "status", "--porcelain"], env=ENVIRONMENT, capture_output=True, check=True
    )
    assert status.stdout == b""


def slow_contents(place: Place, dripping: Dripping) -> GitContents:
    client = GuardedClient([dripping.server.address], read_seconds=60)
    return GitContents(place.root / "other cache", client, SystemClock())


def test_a_checkout_that_waits_for_a_slow_host_can_be_stopped(place: Place, dripping: Dripping) -> None:
    contents = slow_contents(place, dripping)
    repository = place.repository("1" * 40).model_copy(update={"clone_url": f"{dripping.server.url}/r"})
    stops = [threading.Event() for _ in range(2)]

    def checkout(number: int) -> str:
        with pytest.raises(HostUnreachable) as caught:
            contents.checkout(repository, place.root / "work" / f"w{number}", stopped=stops[number].is_set)
        return str(caught.value.facts["why"])

    with ThreadPoolExecutor(2) as workers:
        fetching = workers.submit(checkout, 0)
        assert dripping.begun.acquire(timeout=10)
        waiting = workers.submit(checkout, 1)
        stops[1].set()
        assert waiting.result(10) == "it was stopped"
        assert not fetching.done()
        stops[0].set()
        assert fetching.result(10) == "it was stopped"
    assert place.left() == []


def test_a_shorter_time_limit_of_the_caller_applies(place: Place, dripping: Dripping) -> None:
    repository = place.repository("1" * 40).model_copy(update={"clone_url": f"{dripping.server.url}/r"})
    with pytest.raises(HostUnreachable, match="within"):
        slow_contents(place, dripping).checkout(repository, place.root / "work" / "w", seconds=0.3)
    assert place.left() == []


def test_a_checkout_that_is_stopped_or_out_of_time_does_not_begin(place: Place, work: Path) -> None:
    repository = place.make({"a": "b"})
    place.contents.checkout(repository, work.with_name("cached"))
    with pytest.raises(HostUnreachable, match="stopped"):
        place.contents.checkout(repository, work, stopped=lambda: True)
    with pytest.raises(HostUnreachable, match="within"):
        place.contents.checkout(repository, work, seconds=0)
    assert place.left() == ["cached"]


@pytest.mark.parametrize(("size", "together"), [(20_000_001, False), (1000, True)])
def test_large_files_are_written_one_after_the_other_to_save_memory(
    place: Place, work: Path, monkeypatch: pytest.MonkeyPatch, size: int, together: bool
) -> None:
    repositories = [place.make({"zeros": bytes(size), "name": name}, f"{name}.git") for name in "ab"]
    for number, repository in enumerate(repositories):  # from now on only the writing is left to do
        place.contents.checkout(repository, work.with_name(f"first{number}"))
    meeting, meetings = threading.Barrier(2), []

    def met_first(read: Read, tree: bytes, top: int, room: Room) -> Written:
        try:
            meeting.wait(10 if together else 0.5)
            meetings.append(True)
        except threading.BrokenBarrierError:
            meetings.append(False)
        return write_tree(read, tree, top, room)

    monkeypatch.setattr("bindery_builder.contents.git.write_tree", met_first)
    with ThreadPoolExecutor(2) as workers:
        list(workers.map(place.contents.checkout, repositories, [work.with_name("a"), work.with_name("b")]))
    assert meetings == [together, together]
