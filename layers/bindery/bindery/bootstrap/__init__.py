"""The composition root. Each function of the system asks here for its use case; everything is made once."""

from functools import cache

from bindery.bootstrap.parts import Ports, State
from bindery.bootstrap.picks import (
    Picked,
    builds,
    clock,
    contents,
    guarded_client,
    home,
    launcher,
    provider,
    providers,
    queue,
    settings,
    table,
)
from bindery.bootstrap.system import System


@cache
def system() -> System:
    """Every verb, on what the settings pick."""
    return System(Picked(), settings())


__all__ = [
    "Picked",
    "Ports",
    "State",
    "System",
    "builds",
    "clock",
    "contents",
    "guarded_client",
    "home",
    "launcher",
    "provider",
    "providers",
    "queue",
    "settings",
    "system",
    "table",
]
