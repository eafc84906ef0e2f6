"""The working copies that a container's start script fetches. They have the history, tags and branch of a clone."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.git_http import ENVIRONMENT, SAFE, git, make_repository, with_config
from tests.serving.history_repository import HistoryRepository, history_server
from tests.serving.start_script import SHELLS, started


class Place(HistoryRepository):
    """The repository, and a session whose start script fetches the working copy."""

    def start(self, link_ref: str = "HEAD", commit: str = "", shell: str = "sh") -> str:
        """Start a session and return the messages of the script."""
        ran = started(self.server, commit or self.commits[-1], self.root, shell, link_ref)
        assert ran.stdout == "started\n", ran.stderr
        return ran.stderr


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with history_server(tmp_path) as (server, commits):
        yield Place(server, tmp_path, tmp_path / "work", commits)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_session_has_all_commits_and_tags_and_no_other_files(place: Place, shell: str) -> None:
    assert "history" not in place.start(shell=shell)
    assert place.git("log", "--format=%H").split() == place.commits[::-1]
    assert place.git("tag").split() == ["light", "v1.0"]
    assert place.git("describe") == f"v1.0-3-g{place.commits[3][:7]}"
    assert place.git("status", "--porcelain", "--branch") == "## main...origin/main"
    assert place.git("rev-parse", "--is-shallow-repository") == "false"
    assert place.git("rev-parse", "--abbrev-ref", "origin/HEAD") == "origin/main"
    assert place.git("fsck", "--connectivity-only", "--no-dangling") == ""
    refs = place.git("for-each-ref", "--format=%(refname)").split()
    assert [ref for ref in refs if not ref.startswith(("refs/heads/", "refs/remotes/origin/", "refs/tags/"))] == []
    missing = place.git("rev-list", "--objects", "--all", "--missing=print").count("?")
    assert missing == 3  # The trees of the older commits are missing.


def test_git_pull_and_older_files_are_available(place: Place) -> None:
    place.start()
    new = make_repository(place.folder, {"a.txt": "new\n"}, message="next")
    place.git("pull", "--quiet")
    assert place.git("rev-parse", "HEAD") == new
    place.git("checkout", "--quiet", "HEAD~3")
    assert (place.root / "work" / "a.txt").read_text(encoding="utf-8") == "1\n"


@pytest.mark.parametrize(
    ("link_ref", "branch"),
    [
        ("HEAD", "main"),
        ("main", "main"),
        ("refs/heads/main", "main"),
        ("master", "main"),  # The branch is missing, so HEAD is used instead.
        ("feature/x#1", "feature/x#1"),
        ('say"so', 'say"so'),
        ("v1.0", ""),
        ("refs/tags/v1.0", ""),
        ("refs/pull/1/head", ""),
        ("*", ""),
        ("--upload-pack=id", ""),
    ],
)
def test_the_launched_branch_is_checked_out_and_follows_its_remote(place: Place, link_ref: str, branch: str) -> None:
    for name in ("feature/x#1", 'say"so'):
        git("-C", place.folder, "branch", name, place.commits[3])
    place.start(link_ref)
    assert place.git("branch", "--show-current") == branch
    assert place.git("rev-parse", "HEAD") == place.commits[3]
    assert place.git("describe") == f"v1.0-3-g{place.commits[3][:7]}"
    assert place.git("status", "--porcelain") == ""
    if branch:
        assert place.git("rev-parse", "--abbrev-ref", "@{upstream}") == f"origin/{branch}"


def test_a_tag_called_main_is_not_a_branch(place: Place) -> None:
    git("-C", place.folder, "branch", "-m", "main", "trunk")
    git("-C", place.folder, "symbolic-ref", "HEAD", "refs/heads/trunk")
    place.tag("main", place.commits[3], annotated=False)
    place.start("main")
    assert place.git("branch", "--show-current") == ""


def test_an_older_commit_has_only_its_own_history_and_tags(place: Place) -> None:
    place.tag("v2.0", place.commits[3], annotated=False)
    place.start("main", place.commits[1])
    assert place.git("describe") == f"v1.0-1-g{place.commits[1][:7]}"
    assert place.git("rev-list", "--count", "--all") == "2"
    assert place.git("tag").split() == ["light", "v1.0"]


def test_a_server_without_filters_gives_a_shallow_working_copy_and_a_note(place: Place) -> None:
    git("-C", place.folder, "config", "uploadpack.allowFilter", "false")
    assert "no history" in place.start()
    assert place.git("rev-parse", "--is-shallow-repository") == "true"
    assert place.git("status", "--porcelain") == ""
    place.git("fetch", "--quiet", "--unshallow", "--tags")
    assert place.git("describe") == f"v1.0-3-g{place.commits[3][:7]}"


@pytest.fixture(params=["0", "2"])
def version(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the version of git's protocol that the session's git uses. Git before 2.26 uses version 0."""
    for name, value in with_config(SAFE | {"protocol.version": request.param}).items():
        monkeypatch.setitem(ENVIRONMENT, name, value)


@pytest.mark.usefixtures("version")
def test_history_is_fetched_with_every_protocol_version(place: Place) -> None:
    place.start("main")
    assert place.git("describe") == f"v1.0-3-g{place.commits[3][:7]}"
    assert place.git("status", "--porcelain", "--branch") == "## main...origin/main"


@pytest.mark.usefixtures("version")
def test_a_ref_with_the_name_of_a_capability_is_not_read_as_one(place: Place) -> None:
    """A server that has no filters would send the files of all commits, so the session gets no history."""
    for name in ("a=filter", "fetch=filter"):
        git("-C", place.folder, "branch", name)
    git("-C", place.folder, "config", "uploadpack.allowFilter", "false")
    assert "no history" in place.start("a=filter")
    assert place.git("rev-parse", "--is-shallow-repository") == "true"


def test_a_host_that_fails_after_the_files_gives_a_note(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    impatient = place.root / "bin" / "timeout"
    impatient.parent.mkdir()
    impatient.write_text(f'#!/bin/sh\nshift\nexec {shutil.which("timeout")} 1 "$@"\n', encoding="utf-8")
    impatient.chmod(0o755)
    monkeypatch.setenv("PATH", f"{impatient.parent}:{os.environ['PATH']}")
    place.server.half_histories.add("/r.git/")
    assert "no history" in place.start()
    assert place.server.sent > 0
    assert (place.root / "work" / "a.txt").exists()
    assert place.git("rev-parse", "--is-shallow-repository") == "true"
    assert list((place.root / "work/.git/objects/pack").glob("tmp_*")) == []
    place.server.half_histories.clear()
    place.git("fetch", "--quiet", "--unshallow", "--tags")
    assert place.git("describe") == f"v1.0-3-g{place.commits[3][:7]}"
    assert "?" not in place.git("rev-list", "--objects", "--all", "--missing=print")
