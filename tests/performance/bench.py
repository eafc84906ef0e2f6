"""`make bench`: the click's way beside a bare start of the same thing, in turn in one run. Prints ratios; judges nothing."""

import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import httpx

from tests.performance import bare, cold_starts
from tests.performance.ratios import line
from tests.serving.git_http import GitServer, make_repository
from tests.serving.runtime import LocalRuntime
from tests.serving.uv import UV

RUNS, FOUR_RUNS, BUILD_RUNS = 12, 4, 5
Steps = dict[str, list[float]]


class Bench:
    """One Bindery and one git server for the whole run."""

    def __init__(self, folder: Path, server: GitServer, bindery: LocalRuntime) -> None:
        self.folder, self.server, self.bindery = folder, server, bindery
        self.work = folder / "copy"
        self.work.mkdir()
        for name, text in FILES.items():
            (self.work / name).write_text(text)

    def launch(self, steps: Steps | None = None) -> float:
        """Seconds from the GET of /build to the session's API answering; the session is stopped after."""
        begun = time.perf_counter()
        spec = f"{quote(self.server.url('demo'), safe='')}/HEAD"
        with self.bindery.stream(spec) as stream:
            last = ""
            for event in stream.listen():
                if steps is not None and event.phase not in ("building", last):
                    steps[f"until {event.phase}"].append(time.perf_counter() - begun)
                last = event.phase
        told = stream.last.data
        assert told["phase"] == "ready", told
        bare.wait_for(told["url"], told["token"])
        took = time.perf_counter() - begun
        shut = {"Authorization": f"token {told['token']}"}
        httpx.post(f"{told['url']}api/shutdown", headers=shut, trust_env=False)
        return took

    def bare_start(self, bin_folder: Path, place: str) -> float:
        """The same for `jupyter lab` by hand."""
        begun = time.perf_counter()
        with bare.jupyter_lab(bin_folder, self.work, self.folder / place):
            return time.perf_counter() - begun

    def environment(self) -> Path:
        """The commands of the environment that Bindery built."""
        return next((self.bindery.home / "store").glob("*/venv/bin"))

    def change_requirements(self, comment: str) -> None:
        """A commit that needs a build, with equal packages."""
        files = {**FILES, "requirements.txt": f"{FILES['requirements.txt']}# {comment}\n"}
        make_repository(self.folder / "git" / "demo", files)
        (self.work / "requirements.txt").write_text(files["requirements.txt"])

    def bare_build(self, run: int) -> float:
        """`uv venv`, `uv pip install` and `jupyter lab` by hand."""
        begun = time.perf_counter()
        made = bare.build(Path(UV), self.work / "requirements.txt", self.folder / f"environment-{run}")
        return time.perf_counter() - begun + self.bare_start(made, f"built-{run}")


FILES = {
    "README.md": "# Demo\n",
    "requirements.txt": "six\n",
    "index.ipynb": '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
}


def in_turn(ours: Callable[[int], float], theirs: Callable[[int], float], runs: int) -> tuple[list[float], list[float]]:
    """Both, one after the other, each first as often as second."""
    taken: tuple[list[float], list[float]] = ([], [])
    for run in range(runs):
        pair = ((ours, taken[0]), (theirs, taken[1]))
        for take, into in pair if run % 2 else reversed(pair):
            into.append(take(run))
    return taken


def four(take: Callable[[int], float]) -> Callable[[int], float]:
    """The mean of four at a time."""

    def together(run: int) -> float:
        with ThreadPoolExecutor(4) as pool:
            return statistics.mean(pool.map(take, range(4 * run, 4 * run + 4)))

    return together


def main() -> None:
    """Everything, about six minutes."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bindery-bench-")))
        (folder / "git").mkdir()
        make_repository(folder / "git" / "demo", FILES)
        server = stack.enter_context(GitServer(folder / "git"))
        bindery = stack.enter_context(LocalRuntime(folder / "home", allowed_private_hosts="127.0.0.1"))
        bench = Bench(folder, server, bindery)
        bench.launch()
        commands = bench.environment()
        bench.bare_start(commands, "bare")
        steps: Steps = defaultdict(list)
        told = [
            line(
                "cached launch / bare start",
                *in_turn(lambda _: bench.launch(steps), lambda run: bench.bare_start(commands, f"bare-{run}"), RUNS),
            ),
            line(
                "cached launch / bare start, 4 at a time",
                *in_turn(
                    four(lambda _: bench.launch()),
                    four(lambda run: bench.bare_start(commands, f"four-{run}")),
                    FOUR_RUNS,
                ),
            ),
        ]

        def first_build(run: int) -> float:
            bench.change_requirements(f"run {run}")
            return bench.launch()

        told.append(line("first build / bare build and start", *in_turn(first_build, bench.bare_build, BUILD_RUNS)))
    for step, times in steps.items():
        print(f"  cached launch, {step}: {statistics.median(times) * 1000:.0f} ms")
    print("\n".join([*told, *cold_starts.main()]))


if __name__ == "__main__":
    main()
