"""What the API says beside its answers."""

import pytest

from bindery.domain.errors import BadSpec, BinderyError, LaunchNotFound, RateLimited, Stale, Throttled
from bindery.web.api import ask_again


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (RateLimited(limit=3, seconds=77), "77"),
        (Throttled(), "5"),
        (Stale(), "5"),
        (BadSpec(spec="o", why="it is short"), None),
        (LaunchNotFound(), None),
    ],
)
def test_what_passes_by_itself_says_when_to_ask_again(error: BinderyError, seconds: str | None) -> None:
    assert ask_again(error).get("Retry-After") == seconds
