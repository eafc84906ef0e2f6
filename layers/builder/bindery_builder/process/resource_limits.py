"""Memory and CPU limits that a process sets for itself before it reads untrusted files."""

from contextlib import suppress
from typing import Final

MEMORY_BYTES: Final = 1_000_000_000
CPU_SECONDS: Final = 30
OUT_OF_MEMORY: Final = 3
"""Exit code of a process that reached its memory limit."""


def limit() -> None:
    """Lower this process's own limits permanently. A limit that the system does not support is skipped."""
    import resource

    for kind, most in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, CPU_SECONDS)):
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))
