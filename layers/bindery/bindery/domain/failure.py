"""Stored failures: the error's class name and facts. Sentences are rendered when a page or a stream shows the failure."""

from pydantic import BaseModel, ConfigDict

from bindery.domain.errors import BinderyError, Fact


class Failure(BaseModel):
    """Failure of a launch, an attempt or a step. kind: the error's class name. facts: the values for its sentence."""

    model_config = ConfigDict(frozen=True)

    kind: str
    facts: dict[str, Fact] = {}

    @classmethod
    def of(cls, error: BinderyError) -> "Failure":
        return cls(kind=type(error).__name__, facts=error.facts)
