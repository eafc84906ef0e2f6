"""Whole launches, with their failures and repairs: what a function can be brought to do, it does here once.

A function that gets a new call needs a story that makes it: `tests/infra/test_rights.py` says which right nobody used.
"""

from tests.infra.deployed.stories import builds, clicks, dead_letters, sessions, timers
from tests.infra.deployed.stories.telling import STORIES

__all__ = ["STORIES", "builds", "clicks", "dead_letters", "sessions", "timers"]
