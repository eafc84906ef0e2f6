"""Bugs planted on purpose, each a patch to a copy of the code: every one has to be caught within a bounded number of seeds."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.serving.paths import python_path
from tests.simulation.functions import ROOT
from tests.simulation.lives import CRASH

PATCHES = Path(__file__).parent / "planted"
COPIED = ("layers", "functions", "infra", "tests", "template.yaml")
MOST_SEEDS = 1000
SECONDS = 900
FIRST_SEED = re.compile(r"^First seed: (\d+)$", re.MULTILINE)  # in the patch of a bug that few seeds meet


@dataclass(frozen=True)
class Caught:
    """The result of a planted bug.

    seed: the first that broke a rule; None: all held. rule: its message.
    """

    name: str
    seed: int | None
    rule: str

    def __str__(self) -> str:
        return f"{self.name}: {f'seed {self.seed}, {self.rule}' if self.seed else f'NOT CAUGHT: {self.rule}'}"


def patches() -> list[Path]:
    return sorted(PATCHES.glob("*.patch"))


def caught(patch: Path) -> Caught:
    """Plant the bug in a copy, and live through seeds there until a rule is broken."""
    with TemporaryDirectory(prefix="planted-") as folder:
        copy = Path(folder)
        for name in COPIED:
            _copy(ROOT / name, copy / name)
        applied = subprocess.run(
            ["git", "apply", str(patch)], cwd=copy, capture_output=True, text=True, env=_alone(copy)
        )
        if applied.returncode:
            return Caught(patch.stem, None, f"the patch no longer applies: {applied.stderr}")
        first = FIRST_SEED.search(patch.read_text())
        seeds = ["--first", first[1] if first else "1", "--seeds", str(MOST_SEEDS)]
        command = [sys.executable, "-m", "tests.simulation", "until-broken", *seeds]
        try:
            output = subprocess.run(
                command, cwd=copy, capture_output=True, text=True, timeout=SECONDS, env=_alone(copy)
            )
        except subprocess.TimeoutExpired:
            return Caught(patch.stem, None, f"still looking after {SECONDS} s")
    match = re.search(r"^seed (\d+): (.*)$", output.stdout, re.MULTILINE)
    if match is None or match[2] == CRASH:  # a patch that makes all code crash plants no bug
        return Caught(patch.stem, None, (output.stdout + output.stderr)[-500:])
    return Caught(patch.stem, int(match[1]), match[2])


def all_caught() -> Iterator[Caught]:
    """Yield the results in the order of the patches' names. As many run at a time as there are cores."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        yield from pool.map(caught, patches())


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "planted"))
    else:
        shutil.copy(source, target)


def _alone(copy: Path) -> dict[str, str]:
    """Return an environment in which the copy's code comes before any installed code, without a repository around it."""
    return {
        **os.environ,
        "PYTHONPATH": python_path(copy),
        "PYTHONDONTWRITEBYTECODE": "1",
        "GIT_CEILING_DIRECTORIES": str(copy.parent),
    }
