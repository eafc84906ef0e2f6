"""Thousands of sessions in a cluster and a table, made in a minute. They have no running containers."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bindery.adapters.kubernetes.access import Access
from bindery.adapters.kubernetes.api import Cluster
from bindery.adapters.kubernetes.manifests import Making, pod, service
from bindery.domain.resources import Resources
from bindery.ports.table import Delete, Item
from bindery_local.kubeconfig_file import access_of
from bindery_local.sqlite_table import SqliteTable
from tests.cluster.shipped import GATEWAY, NAMESPACE
from tests.fakes.many import order_of
from tests.performance.many_servers import DOMAIN

AT_ONCE = 16
RUN = "0000"
MAKING = Making(GATEWAY, DOMAIN, Resources())


def put_objects(administrator: Path, sessions: Sequence[str], nodes: int) -> None:
    """Put the Service and Pod of each session, on kwok's nodes in turn."""
    cluster = Cluster(access_of(str(administrator)), NAMESPACE)

    def put(number: int) -> None:
        order = order_of(sessions[number])
        owner = cluster.create(service(order, RUN))
        assert owner is not None
        body = pod(order, RUN, owner, MAKING)
        body["spec"]["nodeName"] = f"kwok-{number % nodes}"  # the node that a scheduler would choose, one Pod at a time
        cluster.create(body)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(put, range(len(sessions))))
    cluster.close()


class CountedTable:
    """The table port on SQLite. calls: by operation."""

    def __init__(self, path: Path) -> None:
        self._table = SqliteTable(path)
        self.calls: Counter[str] = Counter()

    def get(self, pk: str, sk: str) -> Item | None:
        self.calls["get"] += 1
        return self._table.get(pk, sk)

    def get_all(self, keys: Sequence[tuple[str, str]]) -> list[Item]:
        self.calls["get_all"] += 1
        return self._table.get_all(keys)

    def put(self, item: Item) -> Item:
        self.calls["put"] += 1
        return self._table.put(item)

    def delete(self, item: Item) -> None:
        self.calls["delete"] += 1
        self._table.delete(item)

    def transact(self, changes: Sequence[Item | Delete]) -> None:
        self.calls["transact"] += 1
        self._table.transact(changes)

    def query(self, pk: str, prefix: str = "", after: str = "", limit: int = 100) -> list[Item]:
        self.calls["query"] += 1
        return self._table.query(pk, prefix, after, limit)

    def due(self, shard: str, now: float, limit: int = 100) -> list[Item]:
        self.calls["due"] += 1
        return self._table.due(shard, now, limit)


def count_calls(access: Access, calls: Counter[str]) -> Access:
    """Return the same access with a counter of its requests by method."""
    pool: Any = access.entry().pool
    request = pool.request

    def counted(method: str, *arguments: Any, **options: Any) -> Any:
        calls[method] += 1
        return request(method, *arguments, **options)

    pool.request = counted
    return access
