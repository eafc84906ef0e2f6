"""Script of the planning process, which runs within limits: reads a repository's configuration files into a plan.

Arguments: the repository's folder, the file to write the answer into, the folders of Bindery's packages. A file that breaks a
parser ends only this process.
"""

import sys
from pathlib import Path


def main() -> int:
    """Write the answer. Return 0, or OUT_OF_MEMORY_EXIT_CODE if the memory limit was reached."""
    content, answer = map(Path, sys.argv[1:3])
    sys.path += sys.argv[3:]
    from bindery_builder.process.resource_limits import OUT_OF_MEMORY_EXIT_CODE, limit_process

    limit_process()
    try:
        from bindery_builder.environments.planning import PlanAnswer

        answer.write_bytes(PlanAnswer.read(content).model_dump_json().encode())
    except MemoryError:
        return OUT_OF_MEMORY_EXIT_CODE
    return 0


if __name__ == "__main__":
    sys.exit(main())
