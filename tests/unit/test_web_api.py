"""The API's additions to its answers: the time to ask again, and the place among the builds."""

from collections.abc import Mapping

import pytest

from bindery.domain.errors import BadSpec, BinderyError, LaunchNotFound, RateLimited, Stale, Throttled
from bindery.domain.launch import Launch
from bindery.web.api.launches import Caller, ask_again
from tests.fakes.host import COMMIT
from tests.fakes.in_memory_system import InMemorySystem


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
def test_temporary_errors_have_a_retry_after_header(error: BinderyError, seconds: str | None) -> None:
    assert ask_again(error).get("Retry-After") == seconds


def look(system: InMemorySystem, launch: Launch) -> Mapping[str, object]:
    permit = {"authorization": f"Bearer {system.bindery.tokens.launcher_token(launch.id)}"}
    return system.bindery.api.show(Caller("203.0.113.9", "https", permit), launch.id).body


def test_a_launch_answer_contains_how_many_builds_are_before_its_own() -> None:
    system = InMemorySystem(build_slots=1)
    system.host.heads = dict.fromkeys(("o/a", "o/b", "o/c"), COMMIT)
    launches = []
    for name in "abc":
        launches.append(system.open(f"o/{name}/HEAD"))
        system.pump()
        system.clock.advance(1)
    first, second, third = launches
    words = "Waiting for a build slot: 1 build is before this one."
    assert look(system, third)["queue"] == {"builds_before": 1, "message": words}
    assert look(system, first)["queue"] is None
    system.bindery.stop_launch(second.id)
    assert look(system, second)["queue"] is None
    system.build()
    assert look(system, third)["queue"] is None
