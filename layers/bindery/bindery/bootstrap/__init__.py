"""Composition root of the control plane: adapters from the settings, and use cases on these adapters.

Each function of the system gets its use case from `system()`; each object is made once.
"""

from collections.abc import Callable
from functools import cache

from bindery.bootstrap.adapters import Adapters
from bindery.bootstrap.application import Ports, System
from bindery.settings import Settings

_makers: list[Callable[[Settings], Ports]] = [Adapters]


def install(make: Callable[[Settings], Ports]) -> None:
    """Replace the factory of `ports()` by `make`. For other runtimes than Lambda; call it before the first `ports()`."""
    _makers[:] = [make]


@cache
def settings() -> Settings:
    """Return the settings, from the environment. Raises ValidationError."""
    return Settings.read()


@cache
def ports() -> Ports:
    """Return the adapters."""
    return _makers[0](settings())


@cache
def system() -> System:
    """Return every use case, on these adapters."""
    return System(ports(), settings())


__all__ = ["Adapters", "Ports", "System", "install", "ports", "settings", "system"]
