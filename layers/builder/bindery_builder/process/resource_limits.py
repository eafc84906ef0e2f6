"""Memory and CPU limits that a process sets for itself before it reads untrusted files."""

from contextlib import suppress
from typing import Final

MEMORY_BYTES: Final = 1_000_000_000
CPU_SECONDS: Final = 30
SOLVER_MEMORY_BYTES: Final = 8_000_000_000
"""Address space of a process that solves conda packages: its threads reserve far more than they use."""
OUT_OF_MEMORY: Final = 3
"""Exit code of a process that reached its memory limit."""


def limit() -> None:
    """Lower this process's own limits permanently. A limit that the system does not support is skipped."""
    import resource

    _lower((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, CPU_SECONDS))


def limit_solver() -> None:
    """Lower this process's own memory limit to SOLVER_MEMORY_BYTES. Its time is limited by the build's."""
    import resource

    _lower((resource.RLIMIT_AS, SOLVER_MEMORY_BYTES))


def _lower(*limits: tuple[int, int]) -> None:
    import resource

    for kind, most in limits:
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))
