"""The git server that all tests without special needs share."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.serving.git_http import GitServer, make_repository


@pytest.fixture(scope="session")
def git_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    """Provide a git server that serves a new folder."""
    with GitServer(tmp_path_factory.mktemp("git")) as server:
        yield server


@pytest.fixture(scope="session")
def plain(git_server: GitServer) -> str:
    """Provide the spec of a repository with almost no needs, for tests that only need a launch."""
    make_repository(git_server.root / "plain.git", {"README.md": "plain\n"})
    return f"{quote(git_server.url('plain.git'), safe='')}/HEAD"
