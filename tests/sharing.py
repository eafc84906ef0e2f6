"""The distribution of tests over several processes (`pytest -n 3`): a module's tests stay in one process.

All tests that may need the cluster stay in one process, too.
A module's imports decide, because the scheduler knows tests by name only. pytest-xdist's own groups, which are marks, have no
effect with pytest 9.1: it writes them at a point that no longer keeps the names of tests.
"""

from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[1]


class Together(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """A scheduler that gives a module to one process at a time, and all modules that import the cluster's makers to a single process."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid.partition("::")[0])


@cache
def group(module: str) -> str:
    """Return the group of a test module, by its path from the project's root."""
    return "cluster" if "from tests.cluster" in (ROOT / module).read_text() else module
