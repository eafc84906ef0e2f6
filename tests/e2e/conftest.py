"""A git server and a Bindery for all tests without special needs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.serving.gate import Gate
from tests.serving.git_http import GitServer, make_repository
from tests.serving.runtime import LocalRuntime

Spec = Callable[..., str]


@pytest.fixture(scope="session")
def spec_of(git_server: GitServer) -> Spec:
    """Provide a function that returns a repository's spec, as it stands in a link."""

    def spec(name: str, ref: str = "HEAD") -> str:
        return f"{quote(git_server.url(name), safe='')}/{ref}"

    return spec


@pytest.fixture(scope="session")
def bindery(git_server: GitServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRuntime]:
    home = tmp_path_factory.mktemp("bindery") / "home"
    settings = {"reconcile_seconds": 2}
    with LocalRuntime(home, allowed_private_hosts=git_server.address, settings=settings) as runtime:
        yield runtime


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Provide the home folder for a test's own Bindery."""
    return tmp_path / "home"


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Provide a gate that opens at the test's end, so that no build waits for it for ever."""
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()


@pytest.fixture
def held(git_server: GitServer, spec_of: Spec, gate: Gate, request: pytest.FixtureRequest) -> str:
    """Provide the spec of a repository with a build that waits for the gate."""
    name = f"{request.node.name}.git"
    make_repository(git_server.root / name, {"setup.py": gate.setup()})
    return spec_of(name)
