"""Submodules in working copies: fetched if they are available, and else left out with a note."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bindery.adapters.clock import SystemClock
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import HostUnreachable
from bindery_builder.contents.git import GitContents
from tests.serving.git_http import File, make_repository
from tests.serving.working_copies import (
    Dripping,
    Files,
    Place,
    dripping,
    hand_made,
    in_git,
    inner_tree,
    names,
    place,
)

__all__ = ["dripping", "place"]  # fixtures


def modules(path: str, url: str) -> str:
    return f'[submodule "{path}"]\n\tpath = {path}\n\turl = {url}\n'


def test_submodules_with_relative_and_full_addresses_are_fetched(place: Place, work: Path) -> None:
    deep = make_repository(place.server.root / "deep.git", {"deep.txt": "deep\n"})
    inner = make_repository(
        place.server.root / "inner.git",
        {"in.txt": "in\n", "deep": File(deep, 0o160000), ".gitmodules": modules("deep", "../deep.git")},
    )
    both = modules("lib/one", "../inner.git") + modules("two", place.server.url("deep.git"))
    repository = place.make({"lib/one": File(inner, 0o160000), "two": File(deep, 0o160000), ".gitmodules": both})
    assert place.contents.checkout(repository, work).notes == ()
    assert (work / "lib/one/in.txt").read_text(encoding="utf-8") == "in\n"
    assert (work / "lib/one/deep/deep.txt").read_text(encoding="utf-8") == "deep\n"
    assert (work / "two/deep.txt").read_text(encoding="utf-8") == "deep\n"
    assert in_git(work, "status", "--porcelain") == ""
    assert in_git(work / "lib/one", "rev-parse", "HEAD") == inner


@pytest.mark.parametrize(
    "url",
    [
        "git@HOST:lib.git",
        "ssh://git@HOST/lib.git",
        "ssh://git@HOST:2222/lib.git",
        "git://HOST/lib.git",
        "http://someone@HOST:PORT/lib.git",
        "http://someone:secret@HOST:PORT/lib.git",
        "HTTP://HOST:PORT/lib.git",
    ],
)
def test_a_submodule_with_an_ssh_or_user_address_is_fetched_over_http(place: Place, work: Path, url: str) -> None:
    host, _, port = place.server.address.partition(":")
    inner = make_repository(place.server.root / "lib.git", {"in.txt": "in\n"})
    written = url.replace("HOST", host).replace("PORT", port)
    repository = place.make({"lib": File(inner, 0o160000), ".gitmodules": modules("lib", written)})
    assert place.contents.checkout(repository, work).notes == ()
    assert (work / "lib/in.txt").read_text(encoding="utf-8") == "in\n"
    assert in_git(work / "lib", "remote", "get-url", "origin") == place.server.url("lib.git")
    assert in_git(work, "status", "--porcelain") == ""


def missing_submodule(place: Place, work: Path, url: str) -> str:
    """Lay out a repository with the submodule `docs/theme`, which is not available; return the note."""
    listed = modules("docs/theme", url)
    files: Files = {"index.ipynb": "{}", "docs/theme": File("1" * 40, 0o160000), ".gitmodules": listed}
    notes = place.contents.checkout(place.make(files), work).notes
    assert (work / "index.ipynb").read_text(encoding="utf-8") == "{}"
    assert names(work / "docs/theme") == []
    assert in_git(work, "status", "--porcelain") == ""
    assert len(notes) == 1
    assert "docs/theme" in notes[0]
    return notes[0]


@pytest.mark.parametrize("url", ["file:///etc", "/etc", "ext::sh -c id", "-x", "", "http://[::1", "host.example/x"])
def test_a_submodule_with_an_unsupported_address_is_omitted(place: Place, work: Path, url: str) -> None:
    assert "only http and https addresses" in missing_submodule(place, work, url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8099/r", "http://[::1]/r", "http://169.254.169.254/latest", "git@localhost:r.git"]
)
def test_the_guard_checks_addresses_of_submodules(place: Place, work: Path, url: str) -> None:
    assert "private or reserved address" in missing_submodule(place, work, url)


def test_a_private_or_missing_submodule_is_omitted(place: Place, work: Path) -> None:
    assert "no repository at this address, or it is private" in missing_submodule(place, work, "../gone.git")
    place.server.private["/secret.git/"] = "Basic x"
    make_repository(place.server.root / "secret.git", {"a": "b"})
    again = missing_submodule(place, work.with_name("second"), "../secret.git")
    assert "../secret.git" in again
    assert "private" in again


def test_a_submodule_with_a_missing_commit_is_omitted(place: Place, work: Path) -> None:
    make_repository(place.server.root / "inner.git", {"a": "b"})
    assert f"no commit {'1' * 40}" in missing_submodule(place, work, "../inner.git")


def test_a_submodule_with_a_failing_host_is_omitted(place: Place, work: Path) -> None:
    place.server.answers["/inner.git/"] = (500, {})
    assert "cannot be reached" in missing_submodule(place, work, "../inner.git")


def test_a_submodule_with_files_that_git_forbids_is_omitted(place: Place, work: Path) -> None:
    bad = hand_made(place, (b"ok", 0o100644, b"1"), (b"zz", 0o040000, inner_tree(place, b".git", b"evil")))
    (place.server.root / "r.git").rename(place.server.root / "bad.git")
    repository = place.make({"a": "b", "lib": File(bad.ref, 0o160000), ".gitmodules": modules("lib", "../bad.git")})
    (note,) = place.contents.checkout(repository, work).notes
    assert "git does not allow" in note
    assert names(work / "lib") == []


def test_a_submodule_over_the_limit_is_omitted_and_uses_no_space(place: Place, work: Path) -> None:
    big = make_repository(place.server.root / "big.git", {f"f{n}": "x" for n in range(50)})
    small = make_repository(place.server.root / "small.git", {"s": "s"})
    both = modules("big", "../big.git") + modules("small", "../small.git")
    files: Files = {"big": File(big, 0o160000), "small": File(small, 0o160000), ".gitmodules": both}
    (note,) = place.other(max_files=40).checkout(place.make(files), work).notes
    assert "big" in note
    assert "limit" in note
    assert names(work / "big") == []
    assert (work / "small/s").exists()


def test_a_missing_nested_submodule_is_named_with_its_whole_path(place: Place, work: Path) -> None:
    inner = make_repository(
        place.server.root / "inner.git",
        {"in": "in", "deep": File("1" * 40, 0o160000), ".gitmodules": modules("deep", "../gone.git")},
    )
    repository = place.make({"lib": File(inner, 0o160000), ".gitmodules": modules("lib", "../inner.git")})
    (note,) = place.contents.checkout(repository, work).notes
    assert "lib/deep" in note
    assert (work / "lib/in").exists()


def test_submodules_beyond_the_limits_of_depth_and_number_are_omitted(place: Place, work: Path) -> None:
    last = make_repository(place.server.root / "m0.git", {"a": "b"})
    for level in range(1, 5):
        files: Files = {"m": File(last, 0o160000), ".gitmodules": modules("m", f"../m{level - 1}.git")}
        last = make_repository(place.server.root / f"m{level}.git", files)
    (note,) = place.contents.checkout(place.repository(last, "m4.git"), work).notes
    assert "m/m/m/m" in note
    assert names(work / "m/m/m/m") == []
    leaf = make_repository(place.server.root / "leaf.git", {"a": "b"})
    many: dict[str, str | bytes | File] = {f"s{number:02}": File(leaf, 0o160000) for number in range(52)}
    many[".gitmodules"] = "".join(modules(name, "../leaf.git") for name in many)
    notes = place.contents.checkout(place.make(many), work.with_name("second")).notes
    assert len(notes) == 2
    assert "50 submodules" in notes[0]
    assert names(work.with_name("second") / "s49") == [".git", "a"]


def test_many_missing_submodules_give_few_notes(place: Place, work: Path) -> None:
    many: dict[str, str | bytes | File] = {f"s{number:02}": File("1" * 40, 0o160000) for number in range(40)}
    many[".gitmodules"] = "".join(modules(name, "file:///x") for name in many)
    notes = place.contents.checkout(place.make(many), work).notes
    assert len(notes) == 11
    assert "30 more" in notes[-1]


def test_update_none_is_respected_and_other_update_values_are_ignored(place: Place, work: Path) -> None:
    inner = make_repository(place.server.root / "inner.git", {"a": "b"})
    mark = place.root / "ran"
    extra = "\tshallow = false\n\tbranch = main\n\tignore = all\n\tfetchRecurseSubmodules = true\n"
    listed = modules("none", "../inner.git") + "\tUpdate = none\n"
    listed += modules("command", "../inner.git") + f"\tupdate = !touch {mark}\n" + extra
    listed += modules("merge", "../inner.git") + "\tupdate = merge\n"
    files: Files = {name: File(inner, 0o160000) for name in ("none", "command", "merge")}
    notes = place.contents.checkout(place.make({**files, ".gitmodules": listed}), work).notes
    assert names(work / "none") == []
    assert [name for name in ("command", "merge") if (work / name / "a").exists()] == ["command", "merge"]
    assert len(notes) == 1
    assert "none" in notes[0]
    assert not mark.exists()
    assert "touch" not in (work / ".git/config").read_text(encoding="utf-8")
    assert in_git(work / "command", "rev-parse", "--is-shallow-repository") == "true"


def test_git_submodule_update_remote_follows_the_branch_of_a_submodule(place: Place, work: Path) -> None:
    inner = make_repository(place.server.root / "inner.git", {"a": "old"}, branch="dev")
    listed = modules("lib", "../inner.git") + "\tbranch = dev\n"
    place.contents.checkout(place.make({"lib": File(inner, 0o160000), ".gitmodules": listed}), work)
    make_repository(place.server.root / "inner.git", {"a": "new"}, branch="dev")
    in_git(work, "submodule", "--quiet", "update", "--init", "--remote")
    assert (work / "lib/a").read_text(encoding="utf-8") == "new"


@pytest.mark.parametrize("content", ["[submodule", "\0\1", "a = b", "#" * 1_000_001], ids=str.__len__)
def test_an_unreadable_gitmodules_leaves_submodules_empty(place: Place, work: Path, content: str) -> None:
    repository = place.make({"a": "b", "lib": File("1" * 40, 0o160000), ".gitmodules": content})
    notes = place.contents.checkout(repository, work).notes
    assert ".gitmodules" in notes[0]
    assert names(work / "lib") == []
    assert (work / "a").exists()


def test_a_gitmodules_cannot_include_files_of_this_machine(place: Place, work: Path) -> None:
    inner = make_repository(place.server.root / "inner.git", {"a": "b"})
    (place.root / "here").write_text(modules("lib", "../inner.git"), encoding="utf-8")
    listed = f"[include]\n\tpath = {place.root / 'here'}\n"
    notes = place.contents.checkout(place.make({"lib": File(inner, 0o160000), ".gitmodules": listed}), work).notes
    assert names(work / "lib") == []
    assert "not named in .gitmodules" in notes[0]


def test_a_submodule_missing_in_gitmodules_stays_empty_with_a_note(place: Place, work: Path) -> None:
    notes = place.contents.checkout(place.make({"lib": File("1" * 40, 0o160000), "a": "b"}), work).notes
    assert names(work / "lib") == []
    assert len(notes) == 1
    assert "lib" in notes[0]


def test_a_gitmodules_that_is_a_link_is_not_read(place: Place, work: Path) -> None:
    place.contents.checkout(
        place.make({"lib": File("1" * 40, 0o160000), ".gitmodules": File("/etc/passwd", 0o120000)}), work
    )
    assert names(work / "lib") == []


def test_a_submodule_host_that_never_finishes_uses_only_its_share_of_the_time(
    place: Place, work: Path, dripping: Dripping
) -> None:
    inner = make_repository(place.server.root / "inner.git", {"a": "b"})
    both = modules("dead", f"{dripping.server.url}/r") + modules("lib", "../inner.git")
    repository = place.make(
        {"x": "y", "dead": File("1" * 40, 0o160000), "lib": File(inner, 0o160000), ".gitmodules": both}
    )
    client = GuardedClient([dripping.server.address, place.server.address], read_seconds=60)
    contents = GitContents(place.root / "other cache", client, SystemClock())
    (note,) = contents.checkout(repository, work, seconds=12).notes
    assert "dead" in note
    assert "4 seconds" in note or "3." in note  # a third: two submodules, and the parts that follow them
    assert (work / "lib/a").exists()


def test_a_checkout_stopped_during_the_fetch_of_a_submodule_ends(place: Place, work: Path, dripping: Dripping) -> None:
    listed = modules("dead", f"{dripping.server.url}/r")
    repository = place.make({"x": "y", "dead": File("1" * 40, 0o160000), ".gitmodules": listed})
    client = GuardedClient([dripping.server.address, place.server.address], read_seconds=60)
    contents = GitContents(place.root / "other cache", client, SystemClock())
    stop = threading.Event()
    with ThreadPoolExecutor(1) as workers:
        laying = workers.submit(contents.checkout, repository, work, None, stop.is_set)
        assert dripping.begun.acquire(timeout=30)
        stop.set()
        with pytest.raises(HostUnreachable, match="stopped"):
            laying.result(30)
    assert place.left() == []


def test_a_submodule_with_an_extremely_long_address_is_omitted(place: Place, work: Path) -> None:
    for url in ("https://example.org/" + "a" * 900_000, "../" + "a/" * 400_000):
        files: Files = {
            "lib": File("1" * 40, 0o160000),
            ".gitmodules": f'[submodule "x"]\n\tpath = lib\n\turl = {url}\n',
        }
        (note,) = place.contents.checkout(place.make(files), work.with_name(f"{len(url)}")).notes
        assert "lib" in note
        assert len(note) < 600
