"""What unit tests of several hosts share."""

from collections.abc import Iterator

import pytest

from bindery.ports.table import Table
from bindery_local.sqlite_table import SqliteTable
from tests.fakes.clock import FakeClock


@pytest.fixture
def table() -> Iterator[Table]:
    """A real one, empty, in memory."""
    table = SqliteTable(None)
    yield table
    table.close()


@pytest.fixture
def clock() -> FakeClock:
    """Goes when it is told to."""
    return FakeClock()
