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


def test_a_cluster_that_was_made_anew_is_noticed_with_the_next_token(world: World) -> None:
    world.answers()
    first = world.access.entry()
    world.clock.advance(14 * 60)
    world.answers("https://two.eks.test", certificates.authority().pem)
    assert world.access.entry().address == "https://two.eks.test"
    assert world.access.entry().pool is not first.pool


def test_what_was_found_last_counts_for_as_long_as_nobody_can_be_asked(world: World) -> None:
    world.answers()
    first = world.access.entry()
    world.clock.advance(14 * 60)
    world.stub.add_client_error("describe_cluster", "ServerException")
    second = world.access.entry()
    assert (second.address, second.pool) == (first.address, first.pool)
    assert second is not first, "the token would have ended"


def test_who_reaches_nobody_looks_where_the_cluster_is_now_and_not_at_every_call(world: World) -> None:
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


def test_a_cluster_that_is_gone_is_for_the_operator_once_it_does_not_answer(world: World) -> None:
    world.answers()
    first = world.access.entry()
    world.clock.advance(10)
    world.stub.add_client_error("describe_cluster", "ResourceNotFoundException")
    with pytest.raises(ClusterRefused, match="ResourceNotFoundException"):
        world.access.moved(first)
    assert not world.access.moved(first)


def test_another_authority_counts_although_the_token_for_it_could_not_be_made_at_first(
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


def test_a_request_goes_to_the_new_cluster_once_the_old_one_is_not_there_any_more(world: World) -> None:
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


def test_a_cluster_that_shows_another_certificate_at_its_old_address_is_looked_up(world: World) -> None:
    pods, other = json.dumps({"metadata": {"resourceVersion": "1"}, "items": []}), certificates.authority("another")
    with certificates.serving(other, pods) as address:
        world.answers(address)
        cluster = Cluster(world.access, "sessions")
        with pytest.raises(LauncherDown, match="does not answer"):
            cluster.find(POD, "x")
        world.clock.advance(10)
        world.answers(address, other.pem)
        assert cluster.find(POD, "x") is None
