"""What every suite shares."""

import os

import pytest

from tests.cluster.fixture import cluster, shipped  # one cluster for all suites
from tests.serving.packages import printed, python

__all__ = ["cluster", "printed", "python", "shipped"]
LIMIT_SECONDS = 300

# Nothing that a person has set for their own Bindery may change what a test sees.
for name in [name for name in os.environ if name.startswith("BINDERY_") and not name.startswith("BINDERY_TEST_")]:
    del os.environ[name]


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in its own
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Which tests stay together when several processes share the work: a module's, and all that need the cluster.

    What these need is built first where it is not there yet, which takes longer than any test may.
    """
    for item in items:
        if _needs_cluster(item):
            item.add_marker(pytest.mark.xdist_group("cluster"))
            item.add_marker(pytest.mark.timeout(LIMIT_SECONDS, func_only=True))
        else:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


def _needs_cluster(item: pytest.Item) -> bool:
    """By name, or as the contract suite's launcher of that kind."""
    called = getattr(item, "callspec", None)
    return "cluster" in getattr(item, "fixturenames", ()) or bool(called and "kubernetes" in called.params.values())
