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
        raise BuildServiceDown(why=words_of(service, error)) from error
    except BotoCoreError as error:
        raise BuildServiceDown(why=f"{service} does not answer ({type(error).__name__})") from error


def words_of(service: str, error: ClientError) -> str:
    """Return the service's error code and message, in one bounded line."""
    about = error.response.get("Error", {})
    words = f"{about.get('Code', 'unknown')}: {about.get('Message', '')}".rstrip(": ")
    return f"{service} says {words[:_WORDS]}"
