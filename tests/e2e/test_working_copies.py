"""Tests of git in builds and sessions: the version that tags give, history, and a branch that can be pulled."""

from collections.abc import Callable

from tests.serving.git_http import GitServer, git, make_repository
from tests.serving.kernel import Session
from tests.serving.runtime import LocalRuntime

SETUP = """
import subprocess
from setuptools import setup
version = subprocess.check_output(["git", "describe", "--tags", "--long"], text=True).strip()
setup(name="demo-described", version=version[1:].replace("-g", "+g").replace("-", ".post"), py_modules=["described"])
"""
VERSION = "import importlib.metadata; print(importlib.metadata.version('demo-described'))"
GIT = "import subprocess\nfor line in {}: print(subprocess.check_output(line.split(), text=True).strip())"


def in_session(session: Session, *lines: str) -> list[str]:
    return session.run(GIT.format(lines)).splitlines()


def test_versions_from_tags_follow_new_commits_and_the_session_can_pull(
    bindery: LocalRuntime, git_server: GitServer, spec_of: Callable[..., str]
) -> None:
    folder, spec = git_server.root / "described.git", spec_of("described.git")
    files = {
        "setup.py": SETUP,
        "described.py": "x = 1\n",
        "pyproject.toml": '[build-system]\nrequires = ["setuptools"]\n',
    }
    first = make_repository(folder, files)
    git("-C", folder, "tag", "v1.2.3", first)
    second = make_repository(folder, {**files, "README.md": "second\n"})

    launched = bindery.launch(spec)
    assert launched.last.phase == "ready", launched.text
    session = Session.of(launched.last.data)
    assert session.run(VERSION) == f"1.2.3.post1+g{second[:7]}\n"
    outputs = in_session(session, "git describe --tags", "git rev-list --count HEAD", "git status --porcelain --branch")
    assert outputs == [f"v1.2.3-1-g{second[:7]}", "2", "## main...origin/main"]

    third = make_repository(folder, files)  # the first commit's tree again: another version, so another environment
    in_session(session, "git pull --quiet")
    assert in_session(session, "git rev-parse HEAD", "git status --porcelain") == [third, ""]
    launched = bindery.launch(spec)
    assert Session.of(launched.last.data).run(VERSION) == f"1.2.3.post2+g{third[:7]}\n"
    again = bindery.launch(spec_of("described.git", first))
    assert Session.of(again.last.data).run(VERSION) == f"1.2.3.post0+g{first[:7]}\n"
