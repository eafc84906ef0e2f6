"""`python -m tests.performance.cull`: the growth of a sweep's cost from a thousand to ten thousand sessions.

The Pods are kwok's: real objects of a real API server, without running containers. One process answers for all of
their servers.
"""

import multiprocessing
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bindery.adapters.clock import SystemClock
from bindery.adapters.kubernetes.api import Cluster
from bindery.adapters.kubernetes.launcher import KubernetesSessions, PublicAddress
from bindery.bootstrap import System
from bindery_local.kubeconfig_file import access_of
from bindery_local.sqlite_table import SqliteTable
from tests.cluster.shipped import NAMESPACE, Shipped, apply
from tests.cluster.start import running
from tests.fakes.builds import FakeBuilds
from tests.fakes.host import FakeHost
from tests.fakes.many import record_of
from tests.fakes.ports import FakePorts, settings_of
from tests.fakes.queue import FakeQueue
from tests.performance.many_servers import SILENT, ManyServers, many_servers
from tests.performance.many_sessions import MAKING, CountedTable, count_calls, put_objects

FEW, MANY, NODES = 1_000, 10_000, 20
SILENT_SHARE = 100
REMOTE_SECONDS = 0.03
VERBS: Mapping[str, Callable[[System], None]] = {
    "cull sweep": lambda system: system.cull_sessions(),
    "reconcile sweep": lambda system: system.reconcile(),
}


@dataclass(frozen=True)
class Cost:
    """The cost of one sweep in a process of its own.

    processor: seconds. memory: bytes more than before it. requests: to sessions' servers.
    """

    seconds: float
    processor: float
    memory: int
    table: Counter[str]
    api: Counter[str]
    sent: int
    requests: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return (
            f"{self.seconds:.1f} s, {self.processor:.1f} s of a processor, {self.memory / 1e6:.0f} MB, API calls {_spelled(self.api)}, "
            f"table calls {_spelled(self.table)}, sessions' servers {_spelled(self.requests)}, {self.sent} messages"
        )


def sweep(verb: str, kubeconfig: Path, table_path: Path) -> Cost:
    """Sweep in a fresh process and return the cost."""
    table, queue, calls = CountedTable(table_path), FakeQueue(), Counter[str]()
    access = count_calls(access_of(str(kubeconfig)), calls)
    launcher = KubernetesSessions(
        Cluster(access, NAMESPACE), MAKING, PublicAddress("http://unused.test"), SystemClock()
    )
    ports = FakePorts(table, queue, FakeBuilds(queue), launcher, SystemClock(), FakeHost())
    system = System(ports, settings_of(max_age_seconds=0))
    Path("/proc/self/clear_refs").write_text("5")  # from here on, the peak of memory is counted anew
    before, start, used = _memory("VmRSS"), time.perf_counter(), time.process_time()
    VERBS[verb](system)
    took, processor = time.perf_counter() - start, time.process_time() - used
    return Cost(took, processor, _memory("VmHWM") - before, table.calls, calls, len(queue.sent))


def _memory(which: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{which}:")[2].split(maxsplit=1)[0]) * 1024


def _spelled(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()) if count) or "0"


class Sweeps:
    """A cluster for the whole run, and a table for each count."""

    def __init__(self, folder: Path, shipped: Shipped) -> None:
        self.folder = folder
        self.shipped = shipped
        self.there = 0

    def grow(self, count: int) -> None:
        """Make objects for so many sessions."""
        put_objects(self.shipped.cluster.kubeconfig, _names(count)[self.there :], NODES)
        self.there = count

    def measure(self, verb: str, count: int, servers: ManyServers, silent: int = 0) -> Cost:
        """Measure a sweep.

        silent: every so many-th session does not answer.
        """
        path = Path(tempfile.mkdtemp(dir=self.folder)) / "table.sqlite"
        table = SqliteTable(path)
        for name in _names(count, silent):
            table.put(record_of(name, servers.url(name), time.time()))
        table.close()
        before = Counter(servers.requests())
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
            cost = fresh.submit(sweep, verb, self.shipped.kubeconfig, path).result()
        cost.requests.update(Counter(servers.requests()) - before)
        return cost


def _names(count: int, silent: int = 0) -> list[str]:
    return [f"{SILENT if silent and n % silent == 0 else 's'}{n:05}" for n in range(count)]


def described(verb: str, costs: Sequence[Cost]) -> str:
    """Return a line about the growth of the cost from FEW to MANY."""
    few, many = costs
    ratios = {
        "seconds": many.seconds / few.seconds,
        "processor": many.processor / few.processor,
        "memory": many.memory / few.memory,
        "table calls": many.table.total() / few.table.total(),
        "API calls": many.api.total() / few.api.total() if few.api else 0,
    }
    grown = ", ".join(f"{name} x{ratio:.1f}" for name, ratio in ratios.items() if ratio)
    return f"{verb}, {MANY} sessions / {FEW}: {grown}"


def main() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bindery-sweep-")))
        cluster = stack.enter_context(running())
        shipped = apply(cluster)
        shipped.kubectl("delete", "resourcequota", "sessions")  # the limit is for 200 sessions
        cluster.start_kwok(NODES)
        near, far = stack.enter_context(many_servers()), stack.enter_context(many_servers(REMOTE_SECONDS))
        sweeps, costs = Sweeps(folder, shipped), dict[str, list[Cost]]()
        for count in (FEW, MANY):
            sweeps.grow(count)
            for name, verb, servers, silent in (
                ("reconcile sweep", "reconcile sweep", near, 0),
                ("cull sweep", "cull sweep", near, 0),
                (f"cull sweep, answers take {REMOTE_SECONDS * 1000:.0f} ms", "cull sweep", far, 0),
                (f"cull sweep, one in {SILENT_SHARE} is silent", "cull sweep", near, SILENT_SHARE),
            ):
                cost = sweeps.measure(verb, count, servers, silent)
                costs.setdefault(name, []).append(cost)
                print(f"  {name}, {count} sessions: {cost}", flush=True)
        print("\n".join(described(name, pair) for name, pair in costs.items()))


if __name__ == "__main__":
    main()
