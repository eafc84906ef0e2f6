"""Fixtures that several integration test files share."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.containers import ContainerBuilding, Held, held
from tests.serving.registry import LocalRegistry, local_registry


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[LocalRegistry]:
    """Provide a registry that requires no login."""
    with local_registry(tmp_path / "registry") as registry:
        yield registry


@pytest.fixture
def building(tmp_path: Path, registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> Iterator[ContainerBuilding]:
    """Provide builds of images that are pushed to the registry."""
    with closing(ContainerBuilding(tmp_path, registry, monkeypatch)) as building:
        yield building


@pytest.fixture
def holding() -> Iterator[Held]:
    """Provide a build step that waits until the test lets it go on."""
    with held() as holding:
        yield holding
