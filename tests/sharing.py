"""How several processes share the tests (`pytest -n 3`): a module's stay together, and so do all that may need the cluster.

By what a module imports, since whoever deals out knows tests by name only. pytest-xdist's own groups, which are marks, have no
effect with pytest 9.1: it writes them where names of tests are no longer kept.
"""

from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[1]


class Together(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """One process at a time works on a module, and one only on all that import what makes clusters."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid.partition("::")[0])


@cache
def group(module: str) -> str:
    """Of a test module, by its path from the project's root."""
    return "cluster" if "from tests.cluster" in (ROOT / module).read_text() else module
