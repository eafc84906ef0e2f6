"""Why something failed, as it is stored: the error's name and facts. Sentences are made when somebody looks."""

from pydantic import BaseModel, ConfigDict

from bindery.domain.errors import BinderyError, Fact


class Failure(BaseModel):
    """kind: the error's class name. facts: what its sentence names."""

    model_config = ConfigDict(frozen=True)

    kind: str
    facts: dict[str, Fact] = {}

    @classmethod
    def of(cls, error: BinderyError) -> "Failure":
        return cls(kind=type(error).__name__, facts=error.facts)
