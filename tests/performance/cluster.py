"""`make bench-cluster`: launches on a real Kubernetes beside the same Pod by hand, in turn in one run. Prints ratios; judges nothing."""

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

PAIRS, FOUR_PAIRS, LAG_RUNS, LAYOUT_PAIRS = 16, 60, 16, 24  # four at once differ by a third from run to run
SIZES = ((20, 200_000), (400, 40_000_000))  # files and bytes of the commits whose layout is measured
SETTLE_SECONDS = 1
TICK_SECONDS = 1  # a kubelet looks once in so long at what its containers do
STEPS = ("service", "pod", "runs", "answers")
GOLDEN = (math.sqrt(5) - 1) / 2
Told = dict[str, str]


class Bench:
    """One Bindery on one cluster for the whole run."""

    def __init__(self, shipped: Shipped, server: GitServer, bindery: LocalRuntime) -> None:
        self.shipped, self.bindery = shipped, bindery
        self.spec = f"{quote(server.url('pod'), safe='')}/HEAD"
        self.host = urlsplit(shipped.address)
        self.clearing: list[Callable[[], None]] = [shipped.remove_sessions]

    def launch(self, sightings: Sightings | None = None, steps: Steps | None = None) -> tuple[float, Told]:
        """Seconds from the GET of /build to the session's public address answering, and the last event."""
        begun = time.perf_counter()
        with self.bindery.stream(self.spec) as stream:
            heard = {event.phase: time.perf_counter() for event in stream.listen()}
        told = dict(stream.last.data)
        assert told["phase"] == "ready", stream.text
        while not answers("127.0.0.1", self.host.port or 80, urlsplit(told["url"]).netloc, told["token"]):
            time.sleep(EVERY_SECONDS)
        took = time.perf_counter() - begun
        if sightings and steps is not None:
            self._note(sightings, steps, begun, told, heard)
        return took, told

    def timed(self, sightings: Sightings, steps: Steps) -> float:
        return self.launch(sightings, steps)[0]

    def clear(self, run: int = 0) -> None:
        """Nothing of earlier runs takes the next one's processor: Pods are gone when the node has taken them apart.

        They go when the node looks. So that runs do not all begin at one moment between two of its looks, which would be
        kinder to one side, each begins at another, spread evenly.
        """
        for clear in self.clearing:
            clear()
        self.shipped.kubectl("wait", "--for=delete", "pods", "-l", "!app.kubernetes.io/component", "--timeout=60s")
        time.sleep(SETTLE_SECONDS + TICK_SECONDS * (run * GOLDEN % 1))

    def _note(self, sightings: Sightings, steps: Steps, begun: float, told: Told, heard: dict[str, float]) -> None:
        session = urlsplit(told["url"]).netloc.partition(".")[0]
        for step in STEPS:
            steps[step].append(sightings.wait(session, step) - begun)
        for phase, at_ in heard.items():
            steps[f"event {phase}"].append(at_ - begun)
        steps["lag"].append(heard["ready"] - sightings.seen[session]["answers"])


def cleared(bench: Bench, take: Callable[[int], float]) -> Callable[[int], float]:
    """The same on a cluster where nothing else runs."""

    def taken(run: int) -> float:
        bench.clear(run)
        return take(run)

    return taken


@contextmanager
def some_cluster() -> Iterator[Cluster]:
    """That of BINDERY_TEST_KUBECONFIG, else one that ends with the run."""
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
    """Starts of one commit's session in two images of it: one that other commits share, and one that holds the commit's files.

    files, size: how many the commit has, and how many bytes all of them.
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
        """Seconds from the order until the session's public address answers. The session is gone afterwards."""
        order = order_of(f"layout{self._name()}", ref=self._ref, image=image).model_copy(update={"scope": scope})
        begun = time.perf_counter()
        self._launcher.start(order)
        report = self._launcher.wait(order.id, TOKEN, 60)
        took = time.perf_counter() - begun
        assert report.liveness is Liveness.READY, report
        self._launcher.stop(order.id)
        return took


def layouts(bench: Bench) -> list[str]:
    """What it costs a commit's own launch that its image carries the commit as an archive."""
    lines = []
    for files, size in SIZES:
        with tempfile.TemporaryDirectory(prefix="bindery-bench-") as name:
            starts = Layouts(bench.shipped, Path(name), files, size)
        for take in (starts.shared, starts.whole):  # the node has both images from now on
            take()
        ours, theirs = in_turn(cleared(bench, starts.shared), cleared(bench, starts.whole), LAYOUT_PAIRS)
        apart = statistics.median(mine - other for mine, other in zip(ours, theirs, strict=True))
        print(f"  a shared image adds {apart:.3f} s (median of pairs)")
        lines.append(
            line(f"start in a shared image / in the commit's own, {files} files, {size / 1e6:g} MB", ours, theirs)
        )
    return lines


def measure(bench: Bench) -> list[str]:
    _, told = bench.launch()  # builds it
    by_hand = ByHand(bench.shipped, told["image"])
    bench.clearing.append(by_hand.clear)
    by_hand.start()
    ours = cleared(bench, lambda _: bench.launch()[0])
    lines = [line("cluster launch / same Pod by hand", *in_turn(ours, cleared(bench, by_hand.start), PAIRS))]
    together = cleared(bench, four(lambda _: bench.launch()[0])), cleared(bench, four(by_hand.start))
    lines.append(line("cluster launch / same Pod by hand, 4 at a time", *in_turn(*together, FOUR_PAIRS)))
    # Who watches takes processor time, and more of it the more objects there are: nobody does while launches are compared.
    steps: Steps = defaultdict(list)
    with Sightings(bench.shipped).going_on() as seen:
        for run in range(LAG_RUNS):
            cleared(bench, lambda _: bench.timed(seen, steps))(run)
    lags = steps.pop("lag")
    for name, times in steps.items():
        print(f"  launch, from the click to {name}: {statistics.median(times) * 1000:.0f} ms")
    decile = statistics.quantiles(lags, n=10, method="inclusive")[8]
    middle = statistics.median(lags)
    return [*lines, f"from the address answers to ready told: {middle:.3f} s (p90 {decile:.3f} s, n {len(lags)})"]


def main() -> None:
    """Everything, about twenty minutes."""
    with some_cluster() as cluster, bench_on(apply(cluster)) as bench:
        try:
            print("\n".join([*measure(bench), *layouts(bench)]))
        finally:
            bench.clear()


if __name__ == "__main__":
    main()
