"""`python -m bindery_builder.codebuild`: makes one attempt. It is the only command of the buildspec that touches a repository.

Environment key and attempt are in its environment variables.
"""

import os
import sys

from bindery.adapters.aws.codebuild_report import ATTEMPT, ENVIRONMENT, SECONDS
from bindery.bootstrap import settings
from bindery.domain.builds import BuildOrder
from bindery.state.environments import Environments
from bindery_builder.adapters import BuilderAdapters
from bindery_builder.codebuild.attempt import Attempt
from bindery_builder.codebuild.lines import Lines
from bindery_builder.images.tool import ContainerTool

GIGABYTE = 1_000_000_000


def main() -> int:
    """Make the attempt. Return the exit status.

    Raises errors that are not the repository's fault: CodeBuild then reports the failed build.
    """
    adapters = BuilderAdapters(settings())
    configured, home = adapters.settings, adapters.home
    key, number = os.environ[ENVIRONMENT], int(os.environ[ATTEMPT])
    seconds = int(os.environ.get(SECONDS, configured.build_seconds))  # an older version's function does not set it
    environments = Environments(adapters.table, adapters.clock)
    order = ordered(environments, key, number, seconds)
    if order is None:
        print("Nobody waits for this attempt any more", flush=True)
        return 0
    attempt = Attempt(
        order=order,
        handle=os.environ["CODEBUILD_BUILD_ID"],
        folder=home,
        environments=environments,
        contents=adapters.contents,
        queue=Lines(sys.stdout),
        tool=ContainerTool(configured.container_tool, home / "tool"),
        registry=adapters.ecr_registry(),
        base_image=configured.base_image,
        logins=[*adapters.pull_logins(), adapters.ecr_public_login()],
        most_bytes=int(float(os.environ.get("BINDERY_BUILD_GIGABYTES", "20")) * GIGABYTE),
    )
    return attempt.run()


def ordered(environments: Environments, key: str, attempt: int, seconds: int) -> BuildOrder | None:
    """Return the build order from the table.

    Returns None if the attempt is over: abandoned, or lost and followed by another attempt.
    """
    environment = environments.find(key)
    return BuildOrder.of(environment, seconds) if environment and environment.is_making(attempt) else None


if __name__ == "__main__":
    sys.exit(main())
