"""What every error is: a fact, which may pass by itself or will not."""

from typing import Self

Fact = str | int | float


class BinderyError(Exception):
    """A fact. `facts` are plain values (strings, numbers) that its sentence names; never a token, never a secret."""

    def __init__(self, **facts: Fact) -> None:
        super().__init__(f"{type(self).__name__} {facts}" if facts else type(self).__name__)
        self.facts = facts

    def without(self, secret: str) -> Self:
        """The same fact, for words that are not ours and may hold a secret."""
        told = {
            name: fact.replace(secret, "...") if isinstance(fact, str) else fact for name, fact in self.facts.items()
        }
        return type(self)(**told)


class Retryable(BinderyError):
    """May pass by itself."""


class Permanent(BinderyError):
    """Will not pass by itself."""
