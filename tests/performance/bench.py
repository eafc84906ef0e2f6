"""`make bench`: a click in Bindery beside a bare start of JupyterLab, in turn in one run. It only prints ratios."""

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
    """A Bindery and a git server for the whole run."""

    def __init__(self, folder: Path, server: GitServer, bindery: LocalRuntime) -> None:
        self.folder, self.server, self.bindery = folder, server, bindery
        self.work = folder / "copy"
        self.work.mkdir()
        for name, text in FILES.items():
            (self.work / name).write_text(text)

    def launch(self, steps: Steps | None = None) -> float:
        """Return the seconds from the GET of /build until the session's API answers. Stop the session afterwards."""
        start = time.perf_counter()
        spec = f"{quote(self.server.url('demo'), safe='')}/HEAD"
        with self.bindery.stream(spec) as stream:
            last = ""
            for event in stream.listen():
                if steps is not None and event.phase not in ("building", last):
                    steps[f"until {event.phase}"].append(time.perf_counter() - start)
                last = event.phase
        session = stream.last.data
        assert session["phase"] == "ready", session
        bare.wait_for(session["url"], session["token"])
        took = time.perf_counter() - start
        shut = {"Authorization": f"token {session['token']}"}
        httpx.post(f"{session['url']}api/shutdown", headers=shut, trust_env=False)
        return took

    def bare_start(self, bin_folder: Path, place: str) -> float:
        """Return the seconds until a `jupyter lab` that was started by hand answers."""
        start = time.perf_counter()
        with bare.jupyter_lab(bin_folder, self.work, self.folder / place):
            return time.perf_counter() - start

    def environment(self) -> Path:
        """Return the folder of commands of the environment that Bindery built."""
        return next((self.bindery.home / "store").glob("*/venv/bin"))

    def change_requirements(self, comment: str) -> None:
        """Make a commit that needs a build, with equal packages."""
        files = {**FILES, "requirements.txt": f"{FILES['requirements.txt']}# {comment}\n"}
        make_repository(self.folder / "git" / "demo", files)
        (self.work / "requirements.txt").write_text(files["requirements.txt"])

    def bare_build(self, run: int) -> float:
        """Run `uv venv`, `uv pip install` and `jupyter lab` by hand; return the seconds."""
        start = time.perf_counter()
        commands = bare.build(Path(UV), self.work / "requirements.txt", self.folder / f"environment-{run}")
        return time.perf_counter() - start + self.bare_start(commands, f"built-{run}")


FILES = {
    "README.md": "# Demo\n",
    "requirements.txt": "six\n",
    "index.ipynb": '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
}


def in_turn(
    first: Callable[[int], float], second: Callable[[int], float], runs: int
) -> tuple[list[float], list[float]]:
    """Take both times in turn. Each side is first as often as second."""
    taken: tuple[list[float], list[float]] = ([], [])
    for run in range(runs):
        pair = ((first, taken[0]), (second, taken[1]))
        for take, into in pair if run % 2 else reversed(pair):
            into.append(take(run))
    return taken


def four(take: Callable[[int], float]) -> Callable[[int], float]:
    """Return a function that takes the mean of four measurements at the same time."""

    def together(run: int) -> float:
        with ThreadPoolExecutor(4) as pool:
            return statistics.mean(pool.map(take, range(4 * run, 4 * run + 4)))

    return together


def main() -> None:
    """Run all measurements, about six minutes."""
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
        results = [
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

        results.append(line("first build / bare build and start", *in_turn(first_build, bench.bare_build, BUILD_RUNS)))
    for step, times in steps.items():
        print(f"  cached launch, {step}: {statistics.median(times) * 1000:.0f} ms")
    print("\n".join([*results, *cold_starts.main()]))


if __name__ == "__main__":
    main()
