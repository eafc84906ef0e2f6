"""Find variables that look like settings but are not: most are misspelt, and have no effect."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from bindery.settings import Settings

OTHERS = frozenset({"BINDERY_SESSION"})
"""Variable of a session's own processes: a user may start Bindery in a session."""
OF_TESTS = ("BINDERY_TEST_", "BINDERY_TESTS_")


def misspelt(variables: Iterable[str]) -> Iterator[str]:
    """Yield a line for each name `BINDERY_...` that is no setting, with the setting that it resembles most."""
    names = [f"BINDERY_{name.upper()}" for name in Settings.model_fields]
    for name in sorted(variables):
        if name.startswith("BINDERY_") and not name.startswith(OF_TESTS) and name not in {*names, *OTHERS}:
            nearest = get_close_matches(name, names, n=1, cutoff=0.8)
            hint = f"did you mean {nearest[0]}?" if nearest else "infra/docs/settings.md lists all settings."
            yield f"{name} is no setting and does nothing: {hint}"
