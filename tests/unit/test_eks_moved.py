"""An EKS cluster that was created anew under its old name, with another address and another authority, and without notice."""

import json

import pytest
from botocore.exceptions import NoCredentialsError

from bindery.adapters.aws.eks import EksTokens
from bindery.adapters.kubernetes.api import POD, Cluster
from bindery.domain.errors import ClusterRefused, LauncherDown
from tests.fakes.eks import AUTHORITY, World, world
from tests.serving import certificates

__all__ = ["world"]


def test_a_recreated_cluster_is_detected_with_the_next_token(world: World) -> None:
    world.answers()
    first = world.access.entry()
    world.clock.advance(14 * 60)
    world.answers("https://two.eks.test", certificates.authority().pem)
    assert world.access.entry().address == "https://two.eks.test"
    assert world.access.entry().pool is not first.pool


def test_the_last_known_cluster_is_used_while_the_lookup_fails(world: World) -> None:
    world.answers()
    first = world.access.entry()
    world.clock.advance(14 * 60)
    world.stub.add_client_error("describe_cluster", "ServerException")
    second = world.access.entry()
    assert (second.address, second.pool) == (first.address, first.pool)
    assert second is not first, "the token would have ended"


def test_an_unreachable_cluster_is_looked_up_again_every_ten_seconds_at_most(world: World) -> None:
    world.answers()
    first = world.access.entry()
    assert not world.access.moved(first), "it was looked up just now"
    world.clock.advance(10)
    world.answers()
    assert not world.access.moved(first)
    assert not world.access.moved(first), "as it was a moment ago"
    assert world.access.entry() is first
    world.clock.advance(10)
    world.answers("https://two.eks.test")
    assert world.access.moved(first)
    assert world.access.entry().address == "https://two.eks.test"
    assert world.access.moved(first), "somebody else found it meanwhile"


def test_a_deleted_cluster_is_reported_once_it_does_not_answer(world: World) -> None:
    world.answers()
    first = world.access.entry()
    world.clock.advance(10)
    world.stub.add_client_error("describe_cluster", "ResourceNotFoundException")
    with pytest.raises(ClusterRefused, match="ResourceNotFoundException"):
        world.access.moved(first)
    assert not world.access.moved(first)


def test_a_new_authority_is_used_after_a_failure_to_make_its_token(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.answers()
    first = world.access.entry()
    other = certificates.authority().pem
    world.clock.advance(10)
    with monkeypatch.context() as patched:
        patched.setattr(EksTokens, "make", _cannot_sign)
        world.answers(ca=other)
        with pytest.raises(ClusterRefused):
            world.access.renewed(first)
    world.clock.advance(10)
    world.answers(ca=other)
    assert world.access.renewed(first)
    assert world.access.entry().pool is not first.pool


def _cannot_sign(_: EksTokens) -> str:
    raise NoCredentialsError


def test_requests_go_to_the_new_cluster_once_the_old_one_is_unreachable(world: World) -> None:
    """The new cluster has another authority as well, so no answer of 401 ever reports the move."""
    pods = json.dumps({"metadata": {"resourceVersion": "1"}, "items": [{"metadata": {"name": "x"}}]})
    other = certificates.authority("another")
    with certificates.serving(AUTHORITY, pods) as address:
        world.answers(address)
        cluster = Cluster(world.access, "sessions")
        assert cluster.find(POD, "x")
    with certificates.serving(other, pods) as address:
        cluster.close()  # otherwise the test's old server would keep the open connection
        with pytest.raises(LauncherDown, match="does not answer"):
            cluster.find(POD, "x")
        world.clock.advance(10)
        world.answers(address, other.pem)
        assert cluster.find(POD, "x")


def test_a_cluster_with_a_new_certificate_at_its_old_address_is_looked_up(world: World) -> None:
    pods, other = json.dumps({"metadata": {"resourceVersion": "1"}, "items": []}), certificates.authority("another")
    with certificates.serving(other, pods) as address:
        world.answers(address)
        cluster = Cluster(world.access, "sessions")
        with pytest.raises(LauncherDown, match="does not answer"):
            cluster.find(POD, "x")
        world.clock.advance(10)
        world.answers(address, other.pem)
        assert cluster.find(POD, "x") is None
