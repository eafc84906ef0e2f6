"""`make bench-cluster`: launches on a real Kubernetes beside the same Pod by hand, in turn in one run. It only prints
ratios.
"""

import math
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from bindery.domain.environment import Scope
from bindery.domain.resources import Resources
from bindery.domain.sessions import Liveness
from tests.cluster.cluster import Cluster
from tests.cluster.layers import push
from tests.cluster.place import at
from tests.cluster.shared_image import ENTRY_POINT, ENVIRONMENT, shared, whole
from tests.cluster.shipped import RESOURCES, Shipped, apply
from tests.cluster.start import running
from tests.containers import configure
from tests.performance.answers import answers
from tests.performance.bench import Steps, four, in_turn
from tests.performance.by_hand import EVERY_SECONDS, ByHand
from tests.performance.ratios import line
from tests.performance.sightings import Sightings
from tests.serving.git_http import GitServer, git, make_repository
from tests.serving.lab import TOKEN, order_of
from tests.serving.runtime import LocalRuntime

PAIRS, FOUR_PAIRS, LAG_RUNS, LAYOUT_PAIRS = 16, 60, 16, 24  # four at the same time differ by a third from run to run
SIZES = ((20, 200_000), (400, 40_000_000))  # files and bytes of the commits in the comparison of layouts
SETTLE_SECONDS = 1
TICK_SECONDS = 1  # a kubelet looks at its containers at this interval
STEPS = ("service", "pod", "runs", "answers")
GOLDEN = (math.sqrt(5) - 1) / 2
EventData = dict[str, str]


class Bench:
    """A Bindery on a cluster for the whole run."""

    def __init__(self, shipped: Shipped, server: GitServer, bindery: LocalRuntime) -> None:
        self.shipped, self.bindery = shipped, bindery
        self.spec = f"{quote(server.url('pod'), safe='')}/HEAD"
        self.host = urlsplit(shipped.address)
        self.clearing: list[Callable[[], None]] = [shipped.remove_sessions]

    def launch(self, sightings: Sightings | None = None, steps: Steps | None = None) -> tuple[float, EventData]:
        """Return the seconds from the GET of /build until the session's public address answers, and the last event."""
        start = time.perf_counter()
        with self.bindery.stream(self.spec) as stream:
            step_times = {event.phase: time.perf_counter() for event in stream.listen()}
        session = dict(stream.last.data)
        assert session["phase"] == "ready", stream.text
        while not answers("127.0.0.1", self.host.port or 80, urlsplit(session["url"]).netloc, session["token"]):
            time.sleep(EVERY_SECONDS)
        took = time.perf_counter() - start
        if sightings and steps is not None:
            self._note(sightings, steps, start, session, step_times)
        return took, session

    def timed(self, sightings: Sightings, steps: Steps) -> float:
        return self.launch(sightings, steps)[0]

    def clear(self, run: int = 0) -> None:
        """Clear the cluster, so that no earlier run takes the next run's processor. Pods are gone when the node has
        taken them apart.

        The node removes them when it looks. Each run begins at another moment between two of its looks, spread
        evenly. If all runs began at the same moment, that would favour one side.
        """
        for clear in self.clearing:
            clear()
        self.shipped.kubectl("wait", "--for=delete", "pods", "-l", "!app.kubernetes.io/component", "--timeout=60s")
        time.sleep(SETTLE_SECONDS + TICK_SECONDS * (run * GOLDEN % 1))

    def _note(
        self, sightings: Sightings, steps: Steps, start: float, last_event: EventData, step_times: dict[str, float]
    ) -> None:
        session = urlsplit(last_event["url"]).netloc.partition(".")[0]
        for step in STEPS:
            steps[step].append(sightings.wait(session, step) - start)
        for phase, at_ in step_times.items():
            steps[f"event {phase}"].append(at_ - start)
        steps["lag"].append(step_times["ready"] - sightings.times[session]["answers"])


def cleared(bench: Bench, take: Callable[[int], float]) -> Callable[[int], float]:
    """Return the measurement on a cluster where no other session runs."""

    def taken(run: int) -> float:
        bench.clear(run)
        return take(run)

    return taken


@contextmanager
def some_cluster() -> Iterator[Cluster]:
    """Provide the cluster of BINDERY_TEST_KUBECONFIG, or else one that ends with the run."""
    ready = os.environ.get("BINDERY_TEST_KUBECONFIG")
    if ready:
        yield Cluster(at(Path(ready).parent))
        return
    with running() as cluster:
        yield cluster


@contextmanager
def bench_on(shipped: Shipped) -> Iterator[Bench]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bindery-bench-")))
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        configure(folder, environment, shipped.cluster.registry)
        (folder / "git").mkdir()
        make_repository(folder / "git" / "pod", {"Dockerfile": f"FROM {shipped.cluster.base_image}\n"})
        server = stack.enter_context(GitServer(folder / "git"))
        home = folder / "home"
        runtime = LocalRuntime(home, allowed_private_hosts=server.address, settings=shipped.settings)
        yield Bench(shipped, server, stack.enter_context(runtime))


class Layouts:
    """Starts of one commit's session in two images of it: one that other commits share, and one that holds the
    commit's files.

    files, size: the number of the commit's files, and their bytes in all.
    """

    def __init__(self, shipped: Shipped, folder: Path, files: int, size: int) -> None:
        resources = {**RESOURCES.model_dump(), "session_environment": ENVIRONMENT}
        self._launcher = shipped.launcher(Resources.model_validate(resources))
        content = {f"part{number}.bin": os.urandom(size // files) for number in range(files)}
        self._ref = make_repository(folder / "bare", content)
        git("clone", "--quiet", folder / "bare", folder / "clone")
        registry, numbers = shipped.cluster.registry, count()
        self._whole = push(registry, "whole", whole(folder / "clone"), ENTRY_POINT)
        self._shared = push(registry, "shared", shared(folder / "clone", self._ref, {}), ENTRY_POINT)
        self._name = partial(next, numbers)

    def shared(self, _run: int = 0) -> float:
        return self._start(self._shared, Scope.FILES)

    def whole(self, _run: int = 0) -> float:
        return self._start(self._whole, Scope.COMMIT)

    def _start(self, image: str, scope: Scope) -> float:
        """Return the seconds from the order until the session's public address answers. The session is gone
        afterwards.
        """
        order = order_of(f"layout{self._name()}", ref=self._ref, image=image).model_copy(update={"scope": scope})
        start = time.perf_counter()
        self._launcher.start(order)
        report = self._launcher.wait(order.id, TOKEN, 60)
        took = time.perf_counter() - start
        assert report.liveness is Liveness.READY, report
        self._launcher.stop(order.id)
        return took


def layouts(bench: Bench) -> list[str]:
    """Measure the cost of an image that carries the commit as an archive, for a launch of that commit."""
    lines = []
    for files, size in SIZES:
        with tempfile.TemporaryDirectory(prefix="bindery-bench-") as name:
            starts = Layouts(bench.shipped, Path(name), files, size)
        for take in (starts.shared, starts.whole):  # the node has both images from now on
            take()
        in_shared, in_own = in_turn(cleared(bench, starts.shared), cleared(bench, starts.whole), LAYOUT_PAIRS)
        apart = statistics.median(shared - other for shared, other in zip(in_shared, in_own, strict=True))
        print(f"  a shared image adds {apart:.3f} s (median of pairs)")
        lines.append(
            line(f"start in a shared image / in the commit's own, {files} files, {size / 1e6:g} MB", in_shared, in_own)
        )
    return lines


def measure(bench: Bench) -> list[str]:
    _, session = bench.launch()  # builds it
    by_hand = ByHand(bench.shipped, session["image"])
    bench.clearing.append(by_hand.clear)
    by_hand.start()
    by_launch = cleared(bench, lambda _: bench.launch()[0])
    lines = [line("cluster launch / same Pod by hand", *in_turn(by_launch, cleared(bench, by_hand.start), PAIRS))]
    together = cleared(bench, four(lambda _: bench.launch()[0])), cleared(bench, four(by_hand.start))
    lines.append(line("cluster launch / same Pod by hand, 4 at a time", *in_turn(*together, FOUR_PAIRS)))
    # A watcher takes processor time, and more of it with more objects: there is no watcher while launches are compared.
    steps: Steps = defaultdict(list)
    with Sightings(bench.shipped).going_on() as sightings:
        for run in range(LAG_RUNS):
            cleared(bench, lambda _: bench.timed(sightings, steps))(run)
    lags = steps.pop("lag")
    for name, times in steps.items():
        print(f"  launch, from the click to {name}: {statistics.median(times) * 1000:.0f} ms")
    decile = statistics.quantiles(lags, n=10, method="inclusive")[8]
    middle = statistics.median(lags)
    return [*lines, f"from the address answers to ready told: {middle:.3f} s (p90 {decile:.3f} s, n {len(lags)})"]


def main() -> None:
    """Run all measurements, about twenty minutes."""
    with some_cluster() as cluster, bench_on(apply(cluster)) as bench:
        try:
            print("\n".join([*measure(bench), *layouts(bench)]))
        finally:
            bench.clear()


if __name__ == "__main__":
    main()
