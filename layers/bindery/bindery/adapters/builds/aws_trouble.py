"""AWS's errors as the build service's: retryable, in its own words."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from bindery.domain.errors import BuildServiceDown

_WORDS = 200


@contextmanager
def trouble_of(service: str) -> Iterator[None]:
    """Raises BuildServiceDown: also where rights are missing, since that passes once an operator has given them."""
    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        words = f"{told.get('Code', 'unknown')}: {told.get('Message', '')}".rstrip(": ")
        raise BuildServiceDown(why=f"{service} says {words[:_WORDS]}") from error
    except BotoCoreError as error:
        raise BuildServiceDown(why=f"{service} does not answer ({type(error).__name__})") from error
