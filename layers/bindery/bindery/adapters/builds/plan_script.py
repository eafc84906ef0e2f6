"""Runs as a process of its own, within limits: reads a repository's configuration files into a plan.

Arguments: the repository's folder, the file to write the answer into. What a file makes a parser do ends this process at worst.
"""

import sys
from pathlib import Path


def main() -> int:
    """Return 0 once the answer is written, OUT_OF_MEMORY without one."""
    content, answer = map(Path, sys.argv[1:])
    sys.path.append(str(Path(__file__).resolve().parents[3]))
    from bindery.adapters.builds.limited import OUT_OF_MEMORY, limit

    limit()
    try:
        from bindery.adapters.builds.plan_answer import PlanAnswer

        answer.write_bytes(PlanAnswer.of(content).model_dump_json().encode())
    except MemoryError:
        return OUT_OF_MEMORY
    return 0


if __name__ == "__main__":
    sys.exit(main())
