"""Variables that look like settings and are none: most are misspelt, and what they say is not heard."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from bindery.settings import Settings

OTHERS = frozenset({"BINDERY_SESSION"})
"""Marks a session's own processes: somebody may start Bindery in one."""
OF_TESTS = ("BINDERY_TEST_", "BINDERY_TESTS_")


def misspelt(variables: Iterable[str]) -> Iterator[str]:
    """A line for each name `BINDERY_...` that nothing reads, with the setting that it resembles most."""
    known = [f"BINDERY_{name.upper()}" for name in Settings.model_fields]
    for name in sorted(variables):
        if name.startswith("BINDERY_") and not name.startswith(OF_TESTS) and name not in {*known, *OTHERS}:
            nearest = get_close_matches(name, known, n=1, cutoff=0.8)
            hint = f"did you mean {nearest[0]}?" if nearest else "infra/docs/settings.md lists all settings."
            yield f"{name} is no setting and does nothing: {hint}"
