"""The distribution of tests over several processes (`pytest -n 3`): a module's tests stay in one process.

All tests that may need the cluster stay in one process, too. Suites whose modules take minutes go first and those whose modules
take seconds last, so that all processes end at about the same time.
A module's imports decide, because the scheduler knows tests by name only. pytest-xdist's own groups, which are marks, have no
effect with pytest 9.1: it writes them at a point that no longer keeps the names of tests.
"""

from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[1]
LONGEST_FIRST = ("cluster", "tests/simulation/", "tests/e2e/", "tests/integration/", "tests/infra/", "tests/contract/")


class Together(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """A scheduler that gives a module to one process at a time, and all modules that import the cluster's makers to a single process."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid.partition("::")[0])

    def _assign_work_unit(self, node: object) -> None:
        """Give the process the next group: of those left in the queue, the first of the longest suite."""
        self.workqueue.move_to_end(min(self.workqueue, key=_suite), last=False)
        super()._assign_work_unit(node)


@cache
def group(module: str) -> str:
    """Return the group of a test module, by its path from the project's root."""
    return "cluster" if "from tests.cluster" in (ROOT / module).read_text() else module


def _suite(name: str) -> int:
    """Return the position of a group's suite in the order of their start."""
    return next((at for at, suite in enumerate(LONGEST_FIRST) if name.startswith(suite)), len(LONGEST_FIRST))
