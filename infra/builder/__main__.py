"""`python -m infra.builder`, with the order in BINDERY_ORDER: the one command of the buildspec that touches a repository."""

import os
import sys

from bindery.adapters.builds.codebuild_report import ORDER
from bindery.adapters.builds.container_tool import ContainerTool
from bindery.bootstrap import engines, picks
from bindery.domain.builds import BuildOrder
from bindery.state.environments import Environments
from infra.builder.attempt import Attempt
from infra.builder.lines import Lines

GIGABYTE = 1_000_000_000


def main() -> int:
    """The exit status. Raises what is no fault of the repository: CodeBuild's own word tells of it then."""
    given, home = picks.settings(), picks.home()
    attempt = Attempt(
        order=BuildOrder.model_validate_json(os.environ[ORDER]),
        handle=os.environ["CODEBUILD_BUILD_ID"],
        folder=home,
        environments=Environments(picks.table(), picks.clock()),
        contents=picks.contents(),
        queue=Lines(sys.stdout),
        tool=ContainerTool(given.container_tool, home / "tool"),
        registry=engines.ecr_registry(),
        base_image=given.base_image,
        most_bytes=int(float(os.environ.get("BINDERY_BUILD_GIGABYTES", "20")) * GIGABYTE),
    )
    return attempt.run()


if __name__ == "__main__":
    sys.exit(main())
