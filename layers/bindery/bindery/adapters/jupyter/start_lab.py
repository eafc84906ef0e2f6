"""Fast start of JupyterLab, with the effect of its `jupyter-lab` command. Runs in the session's own Python, of any version.

jsonschema imports `rfc3987_syntax` for the validation of IRIs. The import compiles a grammar for over a second, which is most of
the server's start time (jupyter_server issue 1559). Here the import is deferred to the first validation of an IRI.
"""

from __future__ import annotations  # for Python versions older than Bindery's own

import importlib
import importlib.util
import os
import signal
import sys
import types

GRAMMAR = "rfc3987_syntax"
TOLD_TO_END = 128 + signal.SIGTERM


def defer_grammar() -> None:
    """Install a stand-in for the package, which imports the real one at first use. No effect if it is not installed."""
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
        if name.startswith("__"):  # a lookup by the import system
            raise AttributeError(name)
        return getattr(real(), name)

    vars(stand_in).update(is_valid_syntax=is_valid_syntax, __getattr__=missing)
    sys.modules[GRAMMAR] = stand_in


def note_orders() -> list[int]:
    """Return a list that grows with each SIGTERM, with any handler.

    JupyterLab exits with status 0 after SIGTERM. A node that evicts a session for its disk use then treats the exit as the
    session's own, and drops the reason of the eviction.
    """
    orders: list[int] = []
    install = signal.signal

    def noting(number: int, handler: object) -> object:
        def noted(*arguments: object) -> object:
            orders.append(number)
            return handler(*arguments)  # type: ignore[operator]  # checked below

        return install(number, noted if number == signal.SIGTERM and callable(handler) else handler)  # type: ignore[arg-type]  # passed on

    signal.signal = noting  # type: ignore[assignment]  # for handlers that are installed later
    return orders


def main() -> int | None:
    """Run JupyterLab with the command name and the module path of its own console script. Return the exit status."""
    commands = sys.executable.rpartition("/")[0]
    sys.path[0] = commands  # not this folder: its modules must not shadow others
    sys.argv[0] = f"{commands}/jupyter-lab"
    defer_grammar()
    orders = note_orders()
    # Needed until JupyterLab installs its handler: a container's first process ignores each signal without a handler.
    signal.signal(signal.SIGTERM, lambda *_arguments: os._exit(TOLD_TO_END))
    ended: int | None = importlib.import_module("jupyterlab.labapp").main()
    return TOLD_TO_END if orders else ended


if __name__ == "__main__":
    sys.exit(main())
