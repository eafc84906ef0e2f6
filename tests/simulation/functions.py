"""The real handlers, run as Lambda runs them: each instance handles one event at a time, with a module of its own."""

from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from pydantic import ValidationError

from bindery.bootstrap import System
from bindery.domain.errors import BinderyError
from bindery_local.aws_events import Context, Event, from_build_service, from_log, from_queue
from bindery_local.memory_queue import Delivery
from bindery_local.template import read

ROOT = Path(__file__).parents[2]
TEMPLATE = read(ROOT / "template.yaml")
SHAPES = {"events": from_build_service, "logs": from_log}


class Crashed(BaseException):
    """An error in a handler that is not one of Bindery's own: a bug in the code."""


class Functions:
    """The functions of the template without those that answer HTTP.

    system: the one at their composition root.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self._idle: dict[str, list[ModuleType]] = defaultdict(list)

    def deliver(self, delivery: Delivery) -> bool:
        """Hand a message to the function of its queue. Return True if the function reports it as done."""
        shape = SHAPES.get(delivery.queue, from_queue)
        answer = self.call(TEMPLATE.consumers[delivery.queue].module, shape(delivery))
        return answer is not None

    def call(self, module: str, event: Event) -> Mapping[str, Any] | None:
        """Return the handler's result, or None if it raised. A killed function leaves no instance behind."""
        instance = self._idle[module].pop() if self._idle[module] else _loaded(module, self._system)
        answer: Mapping[str, Any] | None = None
        try:
            answer = instance.handler(event, Context(module, aws_request_id="request")) or {}
        except Exception as error:  # noqa: BLE001  # as Lambda's runtime does: whatever it was, the instance lives on
            _check(error)
        self._idle[module].append(instance)
        return answer


def _check(error: Exception) -> None:
    """Raise Crashed for a real crash. For Bindery's own errors and unreadable messages, the queue brings the message
    again.
    """
    if not isinstance(error, (BinderyError, ValidationError)):
        raise Crashed(repr(error)) from error


@cache
def _code(module: str) -> CodeType:
    path = ROOT / f"{module.replace('.', '/')}.py"
    return compile(path.read_text(), path, "exec")


def _loaded(module: str, system: System) -> ModuleType:
    """Load a function's module, as at a cold start."""
    instance = ModuleType(module)
    exec(_code(module), vars(instance))
    vars(instance)["system"] = lambda: system
    return instance
