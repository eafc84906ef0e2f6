"""Starts JupyterLab as its `jupyter-lab` command does, sooner. Runs in the session's own Python, whichever that is.

jsonschema imports `rfc3987_syntax` just in case somebody validates an IRI, which compiles its grammar for over a second,
most of the server's start (jupyter_server issue 1559). Here that import waits until somebody does.
"""

from __future__ import annotations  # so that older Pythons than our own can run it

import importlib
import importlib.util
import os
import signal
import sys
import types

GRAMMAR = "rfc3987_syntax"
TOLD_TO_END = 128 + signal.SIGTERM


def defer_grammar() -> None:
    """Puts a stand-in for the package that becomes the package at its first use; nothing if it is not installed."""
    spec = importlib.util.find_spec(GRAMMAR)
    if spec is None or spec.submodule_search_locations is None:
        return
    stand_in = types.ModuleType(GRAMMAR)
    stand_in.__path__ = list(spec.submodule_search_locations)

    def real() -> types.ModuleType:
        if sys.modules.get(GRAMMAR) is stand_in:
            del sys.modules[GRAMMAR]
        return importlib.import_module(GRAMMAR)

    def is_valid_syntax(term: str, value: str) -> bool:
        return bool(real().is_valid_syntax(term, value))

    def missing(name: str) -> object:
        if name.startswith("__"):  # the import system's own questions
            raise AttributeError(name)
        return getattr(real(), name)

    vars(stand_in).update(is_valid_syntax=is_valid_syntax, __getattr__=missing)
    sys.modules[GRAMMAR] = stand_in


def note_orders() -> list[int]:
    """Grows with each SIGTERM, whoever handles it. JupyterLab ends well when it is told to end; a node that evicts a session
    for its disk takes such an end for the session's own, and forgets its reason."""
    orders: list[int] = []
    install = signal.signal

    def noting(number: int, handler: object) -> object:
        def noted(*given: object) -> object:
            orders.append(number)
            return handler(*given)  # type: ignore[operator]  # asked below

        return install(number, noted if number == signal.SIGTERM and callable(handler) else handler)  # type: ignore[arg-type]  # as it came

    signal.signal = noting  # type: ignore[assignment]  # for whoever installs one later
    return orders


def main() -> int | None:
    """JupyterLab's own command, seen from the outside: its name, and the folder that a console script has on its path."""
    commands = sys.executable.rpartition("/")[0]
    sys.path[0] = commands  # not this folder: its modules must not stand in for others
    sys.argv[0] = f"{commands}/jupyter-lab"
    defer_grammar()
    orders = note_orders()
    # Until JupyterLab has a handler of its own: a container's first process ends by nothing that it does not handle.
    signal.signal(signal.SIGTERM, lambda *_given: os._exit(TOLD_TO_END))
    ended: int | None = importlib.import_module("jupyterlab.labapp").main()
    return TOLD_TO_END if orders else ended


if __name__ == "__main__":
    sys.exit(main())
