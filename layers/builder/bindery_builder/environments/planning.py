"""Planning in a separate process, so that configuration files cannot use up the control plane's memory or time."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel

from bindery.domain.errors import BuildFailed, CannotBuild, RepositoryUnusable
from bindery.domain.failure import Failure
from bindery_builder.environments.plan import Plan, read_plan
from bindery_builder.process.own_script import own_script
from bindery_builder.process.resource_limits import OUT_OF_MEMORY_EXIT_CODE
from bindery_builder.process.runner import Runner, TimeOver

WALL_SECONDS: Final = 90.0
_SCRIPT = Path(__file__).with_name("plan_script.py")
_STEP = "configuration files"
_REFUSALS = {kind.__name__: kind for kind in (BuildFailed, CannotBuild, RepositoryUnusable)}


class PlanAnswer(BaseModel):
    """Answer of the process, as JSON: a plan or a failure. Exactly one of the two fields is set."""

    plan: Plan | None = None
    failure: Failure | None = None

    @classmethod
    def read(cls, content: Path) -> Self:
        """Read the plan of the repository in that folder."""
        try:
            return cls(plan=read_plan(content))
        except (BuildFailed, CannotBuild, RepositoryUnusable) as error:
            return cls(failure=Failure.of(error))

    def unwrap(self) -> Plan:
        """Return the plan. Raises BuildFailed, CannotBuild, RepositoryUnusable."""
        if self.failure:
            raise _REFUSALS[self.failure.kind](**self.failure.facts)
        return self.plan or Plan()


def planned(runner: Runner, content: Path, folder: Path) -> Plan:
    """Return the plan of the repository in `content`.

    folder: the place for the answer, out of the repository's reach. Raises CannotBuild, RepositoryUnusable, BuildFailed (a file
    that is not valid, or takes too long or too much memory to read), and the errors of `Runner.run`.
    """
    answer = folder / "plan.json"
    limited = replace(runner, deadline=min(runner.deadline, time.monotonic() + WALL_SECONDS))
    try:
        code, _ = limited.run(own_script(_SCRIPT, content, answer), folder, quiet=True)
    except TimeOver:
        runner.check()
        raise _too_much("time") from None
    if code:
        raise _too_much("memory" if code == OUT_OF_MEMORY_EXIT_CODE else "time or memory")
    return PlanAnswer.model_validate_json(answer.read_bytes()).unwrap()


def _too_much(resource: str) -> BuildFailed:
    return BuildFailed(
        step=_STEP, why=f"they take more {resource} to be read than they may: is one of them very large?"
    )
