"""Fixtures and hooks that all suites share."""

import os

import pytest
from hypothesis import settings

from tests.cluster.fixture import cluster, shipped  # one cluster for all suites
from tests.fakes.clock import FakeClock
from tests.serving.git_fixtures import git_server, plain  # one git server for all suites
from tests.serving.lambda_function import adapter
from tests.serving.packages import printed, python
from tests.sharing import Together

__all__ = ["adapter", "cluster", "git_server", "plain", "printed", "python", "shipped"]
LIMIT_SECONDS = 300

# A shared machine is slow at times. The results of one run are no part of the next.
settings.register_profile("bindery", deadline=None, database=None)
settings.load_profile("bindery")

# A person's settings for their own Bindery must not change a test's result.
for name in [name for name in os.environ if name.startswith("BINDERY_") and not name.startswith("BINDERY_TEST_")]:
    del os.environ[name]


@pytest.fixture
def clock() -> FakeClock:
    """Provide a clock that moves only when the test moves it."""
    return FakeClock()


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Together:
    """Return the scheduler, when several processes share the work."""
    return Together(config, log)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Extend the time of tests that need a cluster: its parts are built first if they are missing, which exceeds a test's limit."""
    if _needs_cluster(item):
        item.add_marker(pytest.mark.timeout(LIMIT_SECONDS, func_only=True))


def _needs_cluster(item: pytest.Item) -> bool:
    """Return True for a test with the `cluster` fixture, or for the contract suite's launcher of that kind."""
    called = getattr(item, "callspec", None)
    return "cluster" in getattr(item, "fixturenames", ()) or bool(called and "kubernetes" in called.params.values())
