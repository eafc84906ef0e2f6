"""Limits of memory and processor time that a process sets for itself before it reads untrusted files."""

from contextlib import suppress
from typing import Final

MEMORY_BYTES: Final = 1_000_000_000
CPU_SECONDS: Final = 30
SOLVER_MEMORY_BYTES: Final = 8_000_000_000
"""Limit of the address space of a process that solves conda packages: its threads reserve far more memory than they use."""
OUT_OF_MEMORY_EXIT_CODE: Final = 3
"""Exit code of a process that reached its memory limit."""


def limit_process() -> None:
    """Lower this process's own limits permanently. A limit that the system refuses is skipped, such as one above the present limit."""
    import resource

    _set_limits((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, CPU_SECONDS))


def limit_solver() -> None:
    """Lower this process's own memory limit to SOLVER_MEMORY_BYTES. Its time is limited by the build's."""
    import resource

    _set_limits((resource.RLIMIT_AS, SOLVER_MEMORY_BYTES))


def _set_limits(*limits: tuple[int, int]) -> None:
    import resource

    for kind, limit in limits:
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (limit, limit))
