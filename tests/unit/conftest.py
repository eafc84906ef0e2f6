"""Fixtures that several unit test files share."""

from collections.abc import Iterator

import pytest

from tests.fakes.in_memory_system import InMemorySystem
from tests.fakes.table import DictTable
from tests.serving.record_hosts import DoiSystem
from tests.serving.site import Site


@pytest.fixture
def table() -> DictTable:
    """Provide an empty table in memory."""
    return DictTable()


@pytest.fixture
def system() -> InMemorySystem:
    """Provide a system in which one client may open many launches."""
    return InMemorySystem(rate_limit=1000)


@pytest.fixture
def dois() -> Iterator[DoiSystem]:
    """Provide a directory of DOIs on loopback."""
    with DoiSystem() as server:
        yield server


@pytest.fixture
def site() -> Iterator[Site]:
    """Provide a web server on loopback that answers as a test says."""
    with Site() as site:
        yield site
