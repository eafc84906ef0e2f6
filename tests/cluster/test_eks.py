"""Tests of a function's token at a real API server. As on EKS, an authenticator decides about access and the user's
name.

The API server is a separate one without nodes, because an authenticator cannot be added to a running API server.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.session import Session
from moto import mock_aws
from moto.eks.models import eks_backends

from bindery.adapters.aws.eks import EksAccess
from bindery.adapters.clock import SystemClock
from bindery.adapters.kubernetes.api import POD, SECRET, SERVICE
from bindery.adapters.kubernetes.api import Cluster as Client
from bindery.domain.errors import ClusterRefused
from tests.cluster import control_plane
from tests.cluster.binaries import DEFINITIONS
from tests.cluster.claims import claim
from tests.cluster.clearing import clear
from tests.cluster.cluster import Cluster
from tests.cluster.daemons import until
from tests.cluster.shipped import NAMESPACE, ROOT
from tests.serving.aws import REGION
from tests.serving.eks_authenticator import Authenticator
from tests.serving.kubeconfigs import authority_of

if TYPE_CHECKING:
    from mypy_boto3_eks import EKSClient

NAME, GROUP = "sessions", "bindery"
KEYS = {"AKIDBINDERY": "a secret key of the tests"}


@dataclass(frozen=True)
class Eks:
    """A cluster with an authenticator.

    cluster: as its administrator has it.
    """

    cluster: Cluster
    authenticator: Authenticator
    client: "EKSClient"

    def access(self, secret: str = KEYS["AKIDBINDERY"], key: str = "AKIDBINDERY") -> EksAccess:
        """Return a function's access."""
        session = Session()
        session.set_config_variable("region", REGION)
        session.set_credentials(key, secret)
        return EksAccess(NAME, self.client, session, SystemClock())


@contextmanager
def control_plane_with(authenticator: Authenticator, ready: Path) -> Iterator[Cluster]:
    place = claim()
    try:
        cluster = Cluster(place)
        cluster.binaries.symlink_to(ready)
        webhook = f"--authentication-token-webhook-config-file={authenticator.configuration(place.folder)}"
        each_time = "--authentication-token-webhook-cache-ttl=0s"
        etcd = control_plane.etcd(place, ready).start()
        api = control_plane.api_server(place, ready, webhook, each_time).start()
        until(lambda: control_plane.ready(place), [etcd, api])
        cluster.kubectl("create", f"--filename={ready / DEFINITIONS}")
        cluster.kubectl("wait", "--for=condition=established", "--timeout=60s", "crd", "--all")
        cluster.kubectl("apply", "--server-side", "-k", str(ROOT / "infra" / "kubernetes" / "eks"))
        yield cluster
    finally:
        clear(place)


@pytest.fixture(scope="module")
def eks(cluster: Cluster) -> Iterator[Eks]:
    with (
        Authenticator(NAME, dict(KEYS), GROUP) as authenticator,
        control_plane_with(authenticator, cluster.binaries.resolve()) as control,
        mock_aws(),
    ):
        client = boto3.Session("testing", "testing", region_name=REGION).client("eks")
        client.create_cluster(name=NAME, roleArn="arn:aws:iam::123456789012:role/x", resourcesVpcConfig={})
        backend: Any = next(iter(eks_backends.values()))[REGION].clusters[NAME]
        backend.endpoint = control_plane.server(control.place)
        backend.certificate_authority = {"data": authority_of(control.kubeconfig)}
        yield Eks(control, authenticator, client)


def test_the_role_of_a_function_gives_the_rights_that_sessions_need_and_no_more(eks: Eks) -> None:
    client = Client(eks.access(), NAMESPACE)
    assert list(client.each(POD, "a=b")) == []
    assert client.find(SERVICE, "session-x") is None
    with pytest.raises(ClusterRefused, match="may not list secrets"):
        client.find(SECRET, "x")
    with pytest.raises(ClusterRefused, match="may not list pods"):
        list(Client(eks.access(), "kube-system").each(POD, "a=b"))
    client.close()


def test_one_token_and_one_connection_serve_all_requests(eks: Eks) -> None:
    access = eks.access()
    client = Client(access, NAMESPACE)
    for _ in range(5):
        assert client.find(SERVICE, "session-x") is None
    entry = access.entry()
    assert entry.pool.connection_from_url(entry.address).num_connections == 1
    assert entry.authorization.removeprefix("Bearer ") in eks.authenticator.accepted
    client.close()


def test_an_unknown_aws_key_is_refused(eks: Eks) -> None:
    client = Client(eks.access("guessed"), NAMESPACE)
    with pytest.raises(ClusterRefused):
        client.find(SERVICE, "session-x")
    assert eks.authenticator.refused[-1] == "another signature"
    client.close()


def test_a_role_that_gets_access_later_works_without_a_new_function(eks: Eks) -> None:
    client = Client(eks.access(secret="another of the tests", key="AKIDLATER"), NAMESPACE)
    with pytest.raises(ClusterRefused):
        client.find(SERVICE, "session-x")
    assert eks.authenticator.refused[-1] == "nobody's key"
    eks.authenticator.keys["AKIDLATER"] = "another of the tests"
    assert client.find(SERVICE, "session-x") is None
    client.close()


def test_an_old_token_that_is_refused_is_replaced_within_the_same_request(eks: Eks) -> None:
    clock = SystemClock()
    access = eks.access()
    client = Client(access, NAMESPACE)
    entry = access.entry()
    object.__setattr__(entry, "authorization", "Bearer k8s-aws-v1.b2xk")
    assert access._lookup
    access._lookup = replace(access._lookup, signed_at=clock.now() - 600)
    assert client.find(SERVICE, "session-x") is None
    assert access.entry().authorization != entry.authorization
    client.close()
