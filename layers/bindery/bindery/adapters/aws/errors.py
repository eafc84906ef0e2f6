"""Conversion of AWS's errors to the build service's: retryable, with AWS's message."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from bindery.domain.errors import BuildServiceDown

_WORDS = 200


@contextmanager
def trouble_of(service: str) -> Iterator[None]:
    """Raise AWS's errors as BuildServiceDown, also for missing permissions: an operator can still grant them."""
    try:
        yield
    except ClientError as error:
        raise BuildServiceDown(why=words_of(service, error)) from error
    except BotoCoreError as error:
        raise BuildServiceDown(why=f"{service} does not answer ({type(error).__name__})") from error


def words_of(service: str, error: ClientError) -> str:
    """Return the service's error code and message in one line of bounded length."""
    about = error.response.get("Error", {})
    words = f"{about.get('Code', 'unknown')}: {about.get('Message', '')}".rstrip(": ")
    return f"{service} says {words[:_WORDS]}"
