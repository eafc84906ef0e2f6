"""Tests that the simulation can fail. Bugs planted in a copy of the code are caught, each within a bounded number of
seeds.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.simulation.lives import lived
from tests.simulation.planted import FIRST_SEED, Caught, caught, patches

FEWEST = 15


@pytest.fixture(scope="module")
def found() -> Iterator[dict[Path, Future[Caught]]]:
    """Provide the results of all planted bugs. They run at the same time, as far as there are cores."""
    pool = ThreadPoolExecutor(2)
    yield {patch: pool.submit(caught, patch) for patch in patches()}
    pool.shutdown(cancel_futures=True)


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("patch", patches(), ids=lambda patch: patch.stem)
def test_a_planted_bug_is_caught(patch: Path, found: dict[Path, Future[Caught]]) -> None:
    result = found[patch].result()
    print(result)
    assert result.seed is not None, str(result)
    assert not lived(result.seed).failures, "this seed fails without the bug, too"


def test_there_are_enough_planted_bugs_and_each_has_a_description() -> None:
    assert len(patches()) >= FEWEST
    for patch in patches():
        header, diff = patch.read_text().split("\n\n", 1)
        sentence, *first_seed = header.splitlines()
        assert sentence.endswith(".")
        assert all(FIRST_SEED.fullmatch(line) for line in first_seed)
        assert diff.startswith("--- a/layers/bindery/bindery/")


def test_a_patch_that_does_not_apply_does_not_count_as_caught(tmp_path: Path) -> None:
    stale = tmp_path / "stale.patch"
    stale.write_text(
        "--- a/template.yaml\n+++ b/template.yaml\n@@ -1,1 +1,1 @@\n-what nobody wrote\n+what nobody reads\n"
    )
    result = caught(stale)
    assert result.seed is None
    assert "no longer applies" in result.rule
