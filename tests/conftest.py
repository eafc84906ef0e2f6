"""What every suite shares."""

import os

import pytest
from hypothesis import settings

from tests.cluster.fixture import cluster, shipped  # one cluster for all suites
from tests.serving.lambda_function import adapter
from tests.serving.packages import printed, python
from tests.sharing import Together

__all__ = ["adapter", "cluster", "printed", "python", "shipped"]
LIMIT_SECONDS = 300

# A machine that others use, too, is slow now and then; and what one run found is no part of the next.
settings.register_profile("bindery", deadline=None, database=None)
settings.load_profile("bindery")

# Nothing that a person has set for their own Bindery may change what a test sees.
for name in [name for name in os.environ if name.startswith("BINDERY_") and not name.startswith("BINDERY_TEST_")]:
    del os.environ[name]


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Together:
    """Asked for when several processes share the work."""
    return Together(config, log)


def pytest_itemcollected(item: pytest.Item) -> None:
    """What a cluster needs is built first where it is not there yet, which takes longer than any test may."""
    if _needs_cluster(item):
        item.add_marker(pytest.mark.timeout(LIMIT_SECONDS, func_only=True))


def _needs_cluster(item: pytest.Item) -> bool:
    """By name, or as the contract suite's launcher of that kind."""
    called = getattr(item, "callspec", None)
    return "cluster" in getattr(item, "fixturenames", ()) or bool(called and "kubernetes" in called.params.values())
