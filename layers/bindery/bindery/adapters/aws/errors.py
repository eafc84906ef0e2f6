"""Conversion of AWS's errors to those of the build service and of the cluster."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from bindery.domain.errors import BuildServiceDown, ClusterRefused, LauncherDown

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


@contextmanager
def cluster_trouble(purpose: str, failure: str, lasting: Collection[str]) -> Iterator[None]:
    """Raise AWS's errors as ClusterRefused if AWS's code for the error is in `lasting`, else as LauncherDown.

    purpose: of the credentials, such as `read secret x`. failure: such as `secret x cannot be read`.
    """
    try:
        yield
    except NoCredentialsError as error:
        raise ClusterRefused(why=f"there are no credentials to {purpose} with") from error
    except ClientError as error:
        code = error.response["Error"]["Code"]
        kind = ClusterRefused if code in lasting else LauncherDown
        raise kind(why=f"{failure}: {code}") from error
    except BotoCoreError as error:
        raise LauncherDown(why=f"{failure}: {type(error).__name__}") from error


def words_of(service: str, error: ClientError) -> str:
    """Return the service's error code and message in one line of bounded length."""
    about = error.response.get("Error", {})
    words = f"{about.get('Code', 'unknown')}: {about.get('Message', '')}".rstrip(": ")
    return f"{service} says {words[:_WORDS]}"
