"""Result of the planning process: a plan or a failure, as JSON."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel

from bindery.domain.errors import BuildFailed, CannotBuild, RepositoryUnusable
from bindery.domain.failure import Failure
from bindery_builder.environments.plan import Plan, read_plan

REFUSALS = {kind.__name__: kind for kind in (BuildFailed, CannotBuild, RepositoryUnusable)}


class PlanAnswer(BaseModel):
    """Result of planning. Exactly one of the two fields is set."""

    plan: Plan | None = None
    failure: Failure | None = None

    @classmethod
    def of(cls, content: Path) -> Self:
        """Read the plan of the repository in that folder."""
        try:
            return cls(plan=read_plan(content))
        except (BuildFailed, CannotBuild, RepositoryUnusable) as error:
            return cls(failure=Failure.of(error))

    def opened(self) -> Plan:
        """Return the plan. Raises BuildFailed, CannotBuild, RepositoryUnusable."""
        if self.failure:
            raise REFUSALS[self.failure.kind](**self.failure.facts)
        return self.plan or Plan()
