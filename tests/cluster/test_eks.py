"""A function's token at a real API server that asks an authenticator of it, as EKS' does: who gets in, and as whom.

An API server of its own, without nodes: one that runs cannot be told of an authenticator.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.session import Session
from moto import mock_aws
from moto.eks.models import eks_backends

from bindery.adapters.clock import SystemClock
from bindery.adapters.sessions.cluster import POD, SECRET, SERVICE, Cluster
from bindery.adapters.sessions.eks import EksAccess
from bindery.domain.errors import ClusterRefused, SessionRefused
from tests.cluster import cluster, control_plane
from tests.cluster.binaries import DEFINITIONS, binaries
from tests.cluster.claims import claim
from tests.cluster.clearing import clear
from tests.cluster.daemons import until
from tests.cluster.missing import what_is_missing
from tests.cluster.shipped import NAMESPACE, ROOT
from tests.serving.aws import REGION
from tests.serving.eks_authenticator import Authenticator, authenticator
from tests.serving.kubeconfigs import authority_of

if TYPE_CHECKING:
    from mypy_boto3_eks import EKSClient

NAME, GROUP = "sessions", "bindery"
KEYS = {"AKIDBINDERY": "a secret key of the tests"}


@dataclass(frozen=True)
class Eks:
    """cluster: as its administrator has it."""

    cluster: cluster.Cluster
    authenticator: Authenticator
    client: "EKSClient"

    def access(self, secret: str = KEYS["AKIDBINDERY"], key: str = "AKIDBINDERY") -> EksAccess:
        """A function's."""
        session = Session()
        session.set_config_variable("region", REGION)
        session.set_credentials(key, secret)
        return EksAccess(NAME, self.client, session, SystemClock())


@contextmanager
def control_plane_with(asked: Authenticator) -> Iterator[cluster.Cluster]:
    ready, place = binaries(), claim()
    try:
        made = cluster.Cluster(place)
        made.binaries.symlink_to(ready)
        webhook = f"--authentication-token-webhook-config-file={asked.configuration(place.folder)}"
        each_time = "--authentication-token-webhook-cache-ttl=0s"
        etcd = control_plane.etcd(place, ready).start()
        api = control_plane.api_server(place, ready, webhook, each_time).start()
        until(lambda: control_plane.ready(place), [etcd, api])
        made.kubectl("create", f"--filename={ready / DEFINITIONS}")
        made.kubectl("wait", "--for=condition=established", "--timeout=60s", "crd", "--all")
        made.kubectl("apply", "--server-side", "-k", str(ROOT / "infra" / "kubernetes" / "eks"))
        yield made
    finally:
        clear(place)


@pytest.fixture(scope="module")
def eks() -> Iterator[Eks]:
    if missing := what_is_missing():
        pytest.skip(missing)
    with authenticator(NAME, KEYS, GROUP) as asked, control_plane_with(asked) as made, mock_aws():
        client = boto3.Session("testing", "testing", region_name=REGION).client("eks")
        client.create_cluster(name=NAME, roleArn="arn:aws:iam::123456789012:role/x", resourcesVpcConfig={})
        known: Any = next(iter(eks_backends.values()))[REGION].clusters[NAME]
        known.endpoint = control_plane.server(made.place)
        known.certificate_authority = {"data": authority_of(made.kubeconfig)}
        yield Eks(made, asked, client)


def test_a_function_gets_in_by_its_role_and_may_do_what_sessions_need_and_no_more(eks: Eks) -> None:
    cluster = Cluster(eks.access(), NAMESPACE)
    assert list(cluster.each(POD, "a=b")) == []
    assert cluster.find(SERVICE, "session-x") is None
    with pytest.raises(SessionRefused, match="may not list secrets"):
        cluster.find(SECRET, "x")
    with pytest.raises(SessionRefused, match="may not list pods"):
        list(Cluster(eks.access(), "kube-system").each(POD, "a=b"))
    cluster.close()


def test_one_token_and_one_connection_serve_all_requests(eks: Eks) -> None:
    access = eks.access()
    cluster = Cluster(access, NAMESPACE)
    for _ in range(5):
        assert cluster.find(SERVICE, "session-x") is None
    entry = access.entry()
    assert entry.pool.connection_from_url(entry.address).num_connections == 1
    assert len({f"Bearer {token}" for token in eks.authenticator.accepted} & {entry.authorization}) == 1
    cluster.close()


def test_a_key_that_aws_does_not_know_gets_nobody_in(eks: Eks) -> None:
    cluster = Cluster(eks.access("guessed"), NAMESPACE)
    with pytest.raises(ClusterRefused):
        cluster.find(SERVICE, "session-x")
    assert eks.authenticator.refused[-1] == "another signature"
    cluster.close()


def test_a_role_that_is_let_in_later_needs_no_new_function(eks: Eks) -> None:
    cluster = Cluster(eks.access(secret="another of the tests", key="AKIDLATER"), NAMESPACE)
    with pytest.raises(ClusterRefused):
        cluster.find(SERVICE, "session-x")
    assert eks.authenticator.refused[-1] == "nobody's key"
    eks.authenticator.keys["AKIDLATER"] = "another of the tests"
    assert cluster.find(SERVICE, "session-x") is None
    cluster.close()


def test_an_old_token_is_replaced_within_the_request_that_it_is_refused_for(eks: Eks) -> None:
    clock = SystemClock()
    access = eks.access()
    cluster = Cluster(access, NAMESPACE)
    entry = access.entry()
    object.__setattr__(entry, "authorization", "Bearer k8s-aws-v1.b2xk")
    access._made_at = clock.now() - 600
    assert cluster.find(SERVICE, "session-x") is None
    assert access.entry().authorization != entry.authorization
    cluster.close()
