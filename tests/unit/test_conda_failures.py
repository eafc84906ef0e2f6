"""Reasons of a conda installer that crashed, from the output of its process."""

import pytest

from bindery_builder.environments.conda import _crash, _panic

PANIC = [
    "thread 'tokio-rt-worker' panicked at rattler/src/link.rs:1:2:",
    "All inserted paths must be relative",
    "note: x",
]
CRASH = "the installer of conda packages crashed"
TOO_MUCH = "solving its packages takes more memory than a build may use"


@pytest.mark.parametrize(
    ("code", "lines", "reason"),
    [
        (-6, PANIC, f"{CRASH}: All inserted paths must be relative"),
        (134, ["memory allocation of 9 bytes failed"], TOO_MUCH),
        (-11, ["Solving"], CRASH),
        (1, PANIC, ""),
    ],
)
def test_a_crash_is_explained_by_the_output(code: int, lines: list[str], reason: str) -> None:
    assert _crash(code, lines) == reason


def test_a_panic_of_a_thread_is_found_although_the_process_ended_normally() -> None:
    assert _panic(["Installing 2 conda packages", *PANIC]) == f"{CRASH}: All inserted paths must be relative"
    assert _panic(["Installing 2 conda packages"]) == ""
