"""AWS's login for its public registry: one manifest a second is what an address gets without it, and ten with it.

https://docs.aws.amazon.com/AmazonECR/latest/public/public-service-quotas.html
"""

import base64
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from bindery.adapters.aws.errors import trouble_of
from bindery.domain.errors import BuildServiceDown
from bindery_builder.images.pull_logins import ECR_PUBLIC, PullLogin

REGION = "us-east-1"
"""Wherever one is: it is asked there alone."""


class EcrPublicClient(Protocol):
    """The one call of botocore's client that is made here."""

    def get_authorization_token(self) -> Mapping[str, Any]: ...


def ecr_public(make_client: Callable[[], EcrPublicClient]) -> PullLogin:
    """make_client: called when a build needs the login."""

    def credentials() -> tuple[str, str]:
        with trouble_of("ECR public"):
            token = str(make_client().get_authorization_token()["authorizationData"]["authorizationToken"])
        try:
            user, _, password = base64.b64decode(token).decode().partition(":")
        except ValueError:
            raise BuildServiceDown(why="ECR public gives a token that cannot be read") from None
        return user, password

    return PullLogin(ECR_PUBLIC, credentials, only_public=True)
