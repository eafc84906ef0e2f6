"""Validation errors in plain words, for the author of the value."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def plain_message(trouble: "ErrorDetails") -> str:
    """Return pydantic's message; for Bindery's own validators only their sentence."""
    return trouble["msg"].removeprefix("Value error, ")
