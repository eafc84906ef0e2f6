"""The tokens that an EKS cluster accepts as those of its callers."""

import base64
import time

import pytest

from bindery.adapters.aws.eks import EksTokens
from tests.fakes.eks import CLUSTER, KEYS, session
from tests.serving.eks_authenticator import NotAccepted, identity


def token(**options: str) -> str:
    return EksTokens(CLUSTER, session(**options)).make()


@pytest.mark.parametrize("region", ["eu-central-1", "us-east-1", "cn-north-1", "us-gov-west-1"])
def test_an_eks_cluster_accepts_the_token_of_its_caller(region: str) -> None:
    assert identity(token(region=region), CLUSTER, KEYS, time.time()) == "AKIDTESTING"


def test_a_token_contains_the_session_token_of_a_role() -> None:
    """A function's credentials are always those of a role, and its tokens then contain the session as well."""
    signed = token(session_token="IQoJb3JpZ2luX2Vj+/=")
    url = base64.urlsafe_b64decode(signed.partition(".")[2] + "==").decode()
    assert "X-Amz-Security-Token=IQoJb3JpZ2luX2Vj%2B%2F%3D" in url
    assert identity(signed, CLUSTER, KEYS, time.time()) == "AKIDTESTING"


def test_a_token_is_valid_for_fifteen_minutes_one_cluster_and_the_right_key() -> None:
    signed = token()
    assert identity(signed, CLUSTER, KEYS, time.time() + 880)
    for cluster, keys, now in (
        (CLUSTER, KEYS, time.time() + 910),
        ("another", KEYS, time.time()),
        (CLUSTER, {"AKIDTESTING": "guessed"}, time.time()),
    ):
        with pytest.raises(NotAccepted):
            identity(signed, cluster, keys, now)
