"""An EKS cluster that AWS describes with prepared answers."""

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.session import Session
from botocore.stub import Stubber

from bindery.adapters.aws.eks import EksAccess
from tests.fakes.clock import FakeClock
from tests.serving import certificates
from tests.serving.aws import REGION

if TYPE_CHECKING:
    from mypy_boto3_eks import EKSClient

KEYS = {"AKIDTESTING": "a secret key of the tests"}
CLUSTER = "sessions"
AUTHORITY = certificates.authority()


def session(region: str = REGION, session_token: str = "") -> Session:
    aws_session = Session()
    aws_session.set_config_variable("region", region)
    aws_session.set_credentials("AKIDTESTING", KEYS["AKIDTESTING"], session_token or None)
    return aws_session


class World:
    """An access with exactly as many lookups of its cluster as prepared answers."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.eks: EKSClient = boto3.Session("testing", "testing", region_name=REGION).client("eks")
        self.stub = Stubber(self.eks)
        self.stub.activate()
        self.access = EksAccess(CLUSTER, self.eks, session(), self.clock)

    def answers(self, endpoint: str = "https://one.eks.test", ca: str = "") -> None:
        description = {"name": CLUSTER, "status": "ACTIVE", "endpoint": endpoint}
        encoded = base64.b64encode((ca or AUTHORITY.pem).encode()).decode()
        response = {"cluster": {**description, "certificateAuthority": {"data": encoded}}}
        self.stub.add_response("describe_cluster", response, {"name": CLUSTER})


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.access.close()
    world.stub.assert_no_pending_responses()
