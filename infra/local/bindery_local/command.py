"""Command `bindery` for operators, on the local runtime's table or on a deployed one."""

import sys
from collections.abc import Sequence

from bindery import bootstrap
from bindery.cli.commands import main as run
from bindery_local.adapters import LocalAdapters


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    bootstrap.install(LocalAdapters)
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
