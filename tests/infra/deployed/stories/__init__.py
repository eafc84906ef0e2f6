"""Whole launches with failures and repairs. They make each function do all its possible calls at least a single time.

A function that gets a new call needs a story that makes it. `tests/infra/test_rights.py` names the rights that no
story used.
"""

from tests.infra.deployed.stories import builds, clicks, dead_letters, sessions, timers
from tests.infra.deployed.stories.telling import STORIES

__all__ = ["STORIES", "builds", "clicks", "dead_letters", "sessions", "timers"]
