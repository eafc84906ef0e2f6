"""Login for AWS's public registry. It allows one manifest per second and address without a login, and ten with one.

https://docs.aws.amazon.com/AmazonECR/latest/public/public-service-quotas.html
"""

import base64
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from bindery.adapters.aws.errors import trouble_of
from bindery.domain.errors import BuildServiceDown
from bindery_builder.images.pull_logins import ECR_PUBLIC, PullLogin

REGION = "us-east-1"
"""The only region of ECR public's API, for clients in every region."""


class EcrPublicClient(Protocol):
    """Interface of the one call of botocore's client that is used here."""

    def get_authorization_token(self) -> Mapping[str, Any]: ...


def ecr_public(make_client: Callable[[], EcrPublicClient]) -> PullLogin:
    """Return the login for ECR public. make_client: called when a build needs the login."""

    def credentials() -> tuple[str, str]:
        with trouble_of("ECR public"):
            token = str(make_client().get_authorization_token()["authorizationData"]["authorizationToken"])
        try:
            user, _, password = base64.b64decode(token).decode().partition(":")
        except ValueError:
            raise BuildServiceDown(why="ECR public gives a token that cannot be read") from None
        return user, password

    return PullLogin(ECR_PUBLIC, credentials, only_public=True)
