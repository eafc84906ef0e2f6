"""Working copies as a clone has them: history, tags, and a branch that follows its remote."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from bindery.adapters.clock import SystemClock
from bindery.adapters.git import protocol
from bindery.adapters.git.packs import PackLimits
from bindery.adapters.hosts.git import GitProvider
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import HostUnreachable
from bindery.domain.repository import Repository
from bindery_builder.contents import history
from bindery_builder.contents.git import GitContents
from tests.serving.git_http import File, git, make_repository
from tests.serving.history_repository import HistoryRepository, history_server

Files = Mapping[str, str | bytes | File]


@dataclass
class Place(HistoryRepository):
    """The repository, and the builder's contents that check it out."""

    contents: GitContents

    def repository(self, ref: str = "HEAD", commit: str = "") -> Repository:
        """Return the repository as the provider `git` resolves it."""
        url, commit = self.server.url("r.git"), commit or self.commits[-1]
        before = quote(url, safe="")
        return Repository(
            provider="git",
            spec=f"{before}/{quote(ref, safe='/')}",
            ref=commit,
            resolved_spec=f"{before}/{commit}",
            clone_url=url,
            repo_url=url,
            ref_url=url,
        )

    def checkout(self, ref: str = "HEAD", commit: str = "", *, exact: bool = False) -> tuple[str, ...]:
        return self.contents.checkout(self.repository(ref, commit), self.work, exact=exact).notes

    def change(self, files: Files, branch: str = "main") -> str:
        return make_repository(self.folder, files, branch=branch, message="next")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    (tmp_path / "work").mkdir()
    with history_server(tmp_path) as (server, commits):
        client = GuardedClient([server.address])
        contents = GitContents(tmp_path / "cache", client, SystemClock())
        yield Place(server, tmp_path, tmp_path / "work" / "copy", commits, contents)
        client.close()


def test_a_working_copy_has_all_commits_and_tags_and_no_other_files(place: Place) -> None:
    assert place.checkout() == ()
    assert place.git("log", "--format=%H").split() == place.commits[::-1]
    assert place.git("tag").split() == ["light", "v1.0"]
    assert place.git("describe") == f"v1.0-3-g{place.commits[3][:7]}"
    assert place.git("describe", "--tags", "--abbrev=0") == "light"
    assert place.git("status", "--porcelain", "--branch") == "## main...origin/main"
    assert place.git("rev-parse", "--is-shallow-repository") == "false"
    assert place.git("fsck", "--no-dangling") == ""
    assert place.git("fsck", "--connectivity-only", "--no-dangling") == ""
    missing = place.git("rev-list", "--objects", "--all", "--missing=print").count("?")
    assert missing == 3  # the trees of the older commits


def test_git_pull_fetches_new_commits(place: Place) -> None:
    place.checkout()
    new = place.change({"a.txt": "new\n"})
    place.git("pull", "--quiet")
    assert place.git("rev-parse", "HEAD") == new
    assert (place.work / "a.txt").read_text(encoding="utf-8") == "new\n"
    assert place.git("status", "--porcelain") == ""


def test_an_older_commit_can_be_checked_out_and_compared(place: Place) -> None:
    place.checkout()
    assert "-0" in place.git("diff", "HEAD~3", "HEAD", "--", "a.txt")
    place.git("checkout", "--quiet", "HEAD~3")
    assert (place.work / "a.txt").read_text(encoding="utf-8") == "0\n"
    assert place.git("status", "--porcelain") == ""
    place.git("checkout", "--quiet", "main")
    place.git("gc", "--quiet")
    assert place.git("fsck", "--connectivity-only", "--no-dangling") == ""


def test_a_commit_made_in_the_session_is_on_the_branch(place: Place) -> None:
    place.checkout()
    (place.work / "a.txt").write_text("mine\n", encoding="utf-8")
    place.git("commit", "--quiet", "-am", "mine")
    assert place.git("status", "--porcelain", "--branch") == "## main...origin/main [ahead 1]"


@pytest.mark.parametrize(
    ("ref", "branch"),
    [
        ("HEAD", "main"),
        ("main", "main"),
        ("refs/heads/main", "main"),
        ("master", "main"),  # missing, so HEAD is taken for it
        ("feature/x#1", "feature/x#1"),
        ('say"so', 'say"so'),
        ("v1.0", ""),
        ("refs/tags/v1.0", ""),
        ("refs/pull/1/head", ""),
        ("commit", ""),
    ],
)
def test_the_launched_branch_is_checked_out_and_follows_its_remote(place: Place, ref: str, branch: str) -> None:
    for name in ("feature/x#1", 'say"so'):
        git("-C", place.folder, "branch", name, place.commits[3])
    place.checkout(place.commits[3] if ref == "commit" else ref)
    assert place.git("branch", "--show-current") == branch
    assert place.git("rev-parse", "HEAD") == place.commits[3]
    assert place.git("describe") == f"v1.0-3-g{place.commits[3][:7]}"
    assert place.git("status", "--porcelain") == ""
    if branch:
        assert place.git("rev-parse", "--abbrev-ref", "@{upstream}") == f"origin/{branch}"
        place.change({"a.txt": "new\n"}, branch)
        place.git("pull", "--quiet")
        assert (place.work / "a.txt").read_text(encoding="utf-8") == "new\n"


def test_tags_of_other_branches_are_left_out(place: Place) -> None:
    other = place.change({"a.txt": "other"}, "other")
    place.tag("v9", other)
    place.checkout()
    assert place.git("tag").split() == ["light", "v1.0"]


def test_an_older_commit_has_only_its_own_history_and_tags(place: Place) -> None:
    place.tag("v2.0", place.commits[3])
    place.checkout(place.commits[1], place.commits[1])
    assert place.git("describe") == f"v1.0-1-g{place.commits[1][:7]}"
    assert place.git("rev-list", "--count", "--all") == "2"


@pytest.mark.parametrize("name", ["../../config", "a..b", "x.lock", "a b", "-x/.y", "new\tline"])
def test_refs_that_git_forbids_are_left_out(place: Place, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = protocol.GitWire.listed

    def hostile(self: protocol.GitWire, remote: protocol.Remote, prefixes: tuple[str, ...]) -> tuple[protocol.Ref, ...]:
        commit = place.commits[3]
        bad = [protocol.Ref(f"{kind}{name}", commit, commit) for kind in (protocol.HEADS, protocol.TAGS)]
        return (*bad, *listed(self, remote, prefixes))

    monkeypatch.setattr(protocol.GitWire, "listed", hostile)
    place.checkout(name)
    written = (place.work / ".git/packed-refs").read_text(encoding="utf-8")
    assert name not in written
    assert place.git("tag").split() == ["light", "v1.0"]
    assert place.git("branch", "--show-current") == ""


def test_a_server_without_filters_gives_a_shallow_working_copy_and_a_note(place: Place) -> None:
    git("-C", place.folder, "config", "uploadpack.allowFilter", "false")
    (note,) = place.checkout()
    assert "no history" in note
    assert place.git("rev-parse", "--is-shallow-repository") == "true"
    assert place.git("status", "--porcelain") == ""
    place.git("fetch", "--quiet", "--unshallow", "--tags")
    assert place.git("describe") == f"v1.0-3-g{place.commits[3][:7]}"


def test_history_is_not_requested_again_from_a_server_without_filters(place: Place) -> None:
    git("-C", place.folder, "config", "uploadpack.allowFilter", "false")
    place.checkout()
    requests = len(place.server.requests)
    place.contents.checkout(place.repository(), place.root / "work" / "second")
    assert len(place.server.requests) == requests == 2


@pytest.mark.parametrize(
    "limit",
    [
        {"LIMITS": PackLimits(2, 10**6, 10**6)},
        {"LIMITS": PackLimits(100, 10, 10**6)},
        {"LIMITS": PackLimits(100, 10**6, 500)},
        {"MOST_BYTES": 900},
    ],
    ids=["objects", "object", "total", "bytes"],
)
def test_a_history_over_a_limit_is_omitted_with_a_note_and_not_retried(
    place: Place, limit: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in limit.items():
        monkeypatch.setattr(history, name, value)
    (note,) = place.checkout()
    assert "over the limit" in note
    assert place.git("status", "--porcelain") == ""
    assert place.git("rev-parse", "--is-shallow-repository") == "true"
    requests = len(place.server.requests)
    place.contents.checkout(place.repository(), place.root / "work" / "second")
    assert len(place.server.requests) == requests


def test_a_longer_history_is_shortened_with_a_note(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "DEPTH", 3)
    (note,) = place.checkout()
    assert "newest 3 commits" in note
    assert place.git("rev-list", "--count", "HEAD") == "3"
    assert place.git("tag") == "light"
    assert place.git("fsck", "--connectivity-only", "--no-dangling") == ""


def test_too_many_refs_omit_the_history_with_a_note(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MOST_REFS", 2)
    (note,) = place.checkout()
    assert "branches and tags" in note


def test_packs_with_deltas_are_indexed(place: Place) -> None:
    message = "\n".join(f"line {number} of a long message" for number in range(300))
    for number in range(3):
        make_repository(place.folder, {"a.txt": f"d{number}"}, message=f"{message}\n{number}")
    git("-C", place.folder, "repack", "-adfq", "--depth=50", "--window=50")
    head = git("-C", place.folder, "rev-parse", "main").decode().strip()
    assert place.checkout(commit=head) == ()
    assert place.git("rev-list", "--count", "HEAD") == "7"
    assert place.git("fsck", "--no-dangling") == ""


@pytest.mark.parametrize("exact", [False, True])
def test_a_host_that_fails_after_the_files_omits_the_history_or_fails_a_build(place: Place, exact: bool) -> None:
    """A session starts without history if the host stops after the files.

    A build does not start then, because its environment depends on the history.
    """
    place.checkout()
    for entry in (place.root / "cache").glob("*/*/refs.json"):
        place.contents._cache.drop(entry.parent)
    place.server.answers["/r.git/"] = (503, {})
    second = place.root / "work" / "second"
    if exact:
        with pytest.raises(HostUnreachable):
            place.contents.checkout(place.repository(), second, exact=True)
        assert not second.exists()
    else:
        (note,) = place.contents.checkout(place.repository(), second).notes
        assert "no history" in note
        assert (second / "a.txt").exists()


def test_a_history_that_never_finishes_uses_a_share_of_the_time(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "SECONDS", 1)
    place.server.half_histories.add("/r.git/")
    (note,) = place.checkout()
    assert "in time" in note
    requests = len(place.server.requests)
    assert "in time" in place.contents.checkout(place.repository(), place.root / "work" / "second").notes[0]
    assert len(place.server.requests) == requests  # not tried again for a while
    assert (place.work / "a.txt").exists()
    assert list((place.root / "cache").glob("*/.aside-*")) == []


def test_a_checkout_stopped_during_the_fetch_of_its_history_ends(place: Place) -> None:
    place.server.half_histories.add("/r.git/")
    with pytest.raises(HostUnreachable, match="stopped"):
        place.contents.checkout(place.repository(), place.work, stopped=lambda: place.server.sent > 0)
    assert not place.work.exists()


def test_a_build_gets_tags_newer_than_the_cache(place: Place) -> None:
    place.checkout()
    place.tag("v2.0", place.commits[3])
    second = place.root / "work" / "second"
    place.contents.checkout(place.repository(), second)
    assert git("-C", second, "describe").decode().startswith("v1.0-3-")
    third = place.root / "work" / "third"
    place.contents.checkout(place.repository(), third, exact=True)
    assert git("-C", third, "describe").decode().strip() == "v2.0"


def test_a_session_gets_new_tags_after_a_while(place: Place) -> None:
    place.checkout()
    place.tag("v2.0", place.commits[3])
    (refs,) = (place.root / "cache").glob("*/*/refs.json")
    os.utime(refs, (1, 1))
    second = place.root / "work" / "second"
    place.contents.checkout(place.repository(), second)
    assert git("-C", second, "describe").decode().strip() == "v2.0"


def test_a_history_is_not_removed_while_it_is_copied(place: Place) -> None:
    """A history is not removed while it is being copied.

    A build drops a kept history with old tags; a session that copies at that moment is not disturbed.
    """
    place.checkout()
    (refs,) = (place.root / "cache").glob("*/*/refs.json")
    place.tag("v2.0", place.commits[3])
    third = place.root / "work" / "third"
    with ThreadPoolExecutor(1) as workers, (refs.parent / "objects.pack").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        build = workers.submit(place.contents.checkout, place.repository(), third, exact=True)
        with pytest.raises(TimeoutError):
            build.result(1)
        assert refs.exists()
        fcntl.flock(held, fcntl.LOCK_UN)
        build.result(30)
    assert git("-C", third, "describe").decode().strip() == "v2.0"


def test_a_history_that_is_corrupt_on_disk_is_fetched_again(place: Place) -> None:
    place.checkout()
    (refs,) = (place.root / "cache").glob("*/*/refs.json")
    for name in ("objects.pack", "objects.idx"):
        content = bytearray((refs.parent / name).read_bytes())
        content[40] ^= 255
        (refs.parent / name).write_bytes(content)
    second = place.root / "work" / "second"
    assert place.contents.checkout(place.repository(), second).notes == ()
    assert git("-C", second, "fsck", "--no-dangling") == b""


def test_the_digest_of_the_tags_changes_with_each_tag_but_no_branch(place: Place) -> None:
    provider = GitProvider(GuardedClient([place.server.address]), SystemClock())
    tags = [provider.tags(place.repository())]
    place.change({"a.txt": "new"})
    assert provider.tags(place.repository()) == tags[0] != ""
    for change in (("v2", place.commits[2]), ("-f", "v2", place.commits[1]), ("-d", "v2")):
        git("-C", place.folder, "tag", *change)
        tags.append(provider.tags(place.repository()))
    assert len(set(tags)) == 3
    assert tags[3] == tags[0]
    git("-C", place.folder, "config", "uploadpack.allowFilter", "false")
    assert GitProvider(GuardedClient([place.server.address]), SystemClock()).tags(place.repository()) == ""
