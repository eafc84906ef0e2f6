"""Uses of the table and the queues by functions in the simulation's worlds, where any call may fail, as rights."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from bindery.domain.messages import Message
from bindery.ports.table import Delete, Item
from tests.infra.deployed.rights import Right
from tests.infra.deployed.system import CONSUMERS, QUEUES
from tests.simulation.around import Around
from tests.simulation.queues import SimQueues
from tests.simulation.tables import SimTable
from tests.simulation.world import TIMERS, World

# The stories show this for the adapters: each of these calls needs these rights.
TABLE = {
    "get": ("GetItem Table",),
    "get_all": ("BatchGetItem Table",),
    "put": ("PutItem Table",),
    "delete": ("DeleteItem Table",),
    "query": ("Query Table",),
    "due": ("Query Table/index/due", "BatchGetItem Table"),
}


def lived_through(seeds: Iterable[int]) -> dict[str, set[Right]]:
    """Return by function the rights that it used in any of these worlds."""
    used: dict[str, set[Right]] = defaultdict(set)
    with pytest.MonkeyPatch.context() as patch:
        for name in (*TABLE, "transact"):
            patch.setattr(SimTable, name, _recorded_table(used, name, getattr(SimTable, name)))
        patch.setattr(SimQueues, "send", _recorded_queue(used, SimQueues.send))
        for seed in seeds:
            World(seed).run()
    return used


def _recorded_table(used: dict[str, set[Right]], name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def recorded(table: SimTable, *arguments: Any, **named: Any) -> Any:
        rights = _changes(arguments[0]) if name == "transact" else TABLE[name]
        used[_function(table._around)].update(
            Right(f"dynamodb:{right.split()[0]}", right.split()[1]) for right in rights
        )
        return call(table, *arguments, **named)

    return recorded


def _recorded_queue(used: dict[str, set[Right]], call: Callable[..., None]) -> Callable[..., None]:
    def recorded(queues: SimQueues, message: Message, delay: float = 0) -> None:
        if message.queue in QUEUES:  # the build service's messages do not count
            used[_function(queues._around)].add(Right("sqs:SendMessage", QUEUES[message.queue]))
        call(queues, message, delay)

    return recorded


def _changes(changes: Sequence[Item | Delete]) -> set[str]:
    return {f"{'DeleteItem' if isinstance(change, Delete) else 'PutItem'} Table" for change in changes}


def _function(around: Around) -> str:
    """Return the function that runs now. The text is empty for the world itself, and for visitors, as they are not
    functions.
    """
    first = around.scheduler.task.name.split()[0] if around.scheduler.task else ""
    return TIMERS[first].name if first in TIMERS else CONSUMERS.get(first, "")
