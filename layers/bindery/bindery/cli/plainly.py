"""What is wrong with a value, for the one who wrote it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def plainly(trouble: "ErrorDetails") -> str:
    """Return pydantic's message; of a validator of ours, its own sentence alone."""
    return trouble["msg"].removeprefix("Value error, ")
