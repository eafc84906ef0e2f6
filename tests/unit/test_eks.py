"""The access of a function to an EKS cluster: how often AWS is asked, and the requests that AWS refuses."""

import json
import ssl

import pytest
from botocore.session import Session

from bindery.adapters.aws.eks import EksAccess
from bindery.domain.errors import BinderyError, ClusterRefused, LauncherDown
from tests.fakes.eks import AUTHORITY, CLUSTER, World, world
from tests.serving import certificates
from tests.serving.aws import REGION

__all__ = ["world"]  # fixtures


def test_a_token_is_reused_and_renewed_shortly_before_its_end(world: World) -> None:
    world.answers()
    first = world.access.entry()
    world.clock.advance(14 * 60 - 1)
    assert world.access.entry() is first
    world.clock.advance(1)
    world.answers()
    second = world.access.entry()
    assert second is not first, "a token of its own"
    assert second.pool is first.pool
    assert second.address == "https://one.eks.test"
    assert second.authorization.startswith("Bearer k8s-aws-v1.")
    assert world.access.entry() is second


def test_the_representation_of_an_entry_contains_no_token(world: World) -> None:
    world.answers()
    assert "k8s-aws-v1" not in repr(world.access.entry())


def test_a_refused_request_looks_up_the_cluster_again(world: World) -> None:
    world.answers()
    first = world.access.entry()
    world.clock.advance(10)
    world.answers("https://two.eks.test")
    assert world.access.renewed(first)
    assert world.access.entry().address == "https://two.eks.test"
    assert world.access.entry().pool is not first.pool


def test_a_refused_token_is_renewed_unless_it_is_new(world: World) -> None:
    world.answers()
    first = world.access.entry()
    assert not world.access.renewed(first)
    world.clock.advance(60)
    world.answers()
    assert world.access.renewed(first)
    second = world.access.entry()
    assert second is not first
    assert second.pool is first.pool
    assert world.access.renewed(first), "somebody else renewed it meanwhile"


def test_a_cluster_that_refuses_every_call_is_looked_up_every_ten_seconds_at_most(world: World) -> None:
    world.answers()
    for _ in range(3):
        entry = world.access.entry()
        assert not any(world.access.renewed(entry) for _ in range(5)), "neither token nor cluster is another"
        world.clock.advance(10)
        world.answers()
        assert world.access.renewed(entry)


def test_a_failed_cluster_lookup_is_not_repeated_more_often(world: World) -> None:
    world.answers()
    first = world.access.entry()
    world.clock.advance(10)
    world.stub.add_client_error("describe_cluster", "AccessDeniedException")
    with pytest.raises(ClusterRefused, match="AccessDeniedException"):
        world.access.renewed(first)
    assert world.access.renewed(first), "with a token of now, which it makes itself"
    assert not world.access.renewed(world.access.entry())


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("AccessDeniedException", ClusterRefused),
        ("ResourceNotFoundException", ClusterRefused),
        ("ThrottlingException", LauncherDown),
        ("ServerException", LauncherDown),
    ],
)
def test_errors_of_aws_are_permanent_or_temporary_by_their_code(
    world: World, code: str, kind: type[BinderyError]
) -> None:
    world.stub.add_client_error("describe_cluster", code)
    with pytest.raises(LauncherDown) as refused:
        world.access.entry()
    assert type(refused.value) is kind
    assert refused.value.facts == {"why": f"EKS cluster {CLUSTER} cannot be looked up: {code}"}
    world.answers()
    assert world.access.entry().address == "https://one.eks.test"


def test_a_cluster_in_creation_is_a_temporary_error(world: World) -> None:
    world.stub.add_response("describe_cluster", {"cluster": {"name": CLUSTER, "status": "CREATING"}})
    with pytest.raises(LauncherDown, match="is creating") as down:
        world.access.entry()
    assert type(down.value) is LauncherDown


def test_a_function_without_credentials_is_reported(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    bare = Session()
    bare.set_config_variable("region", REGION)
    world.answers()
    with pytest.raises(ClusterRefused, match="no credentials"):
        EksAccess(CLUSTER, world.eks, bare, world.clock).entry()


def test_the_certificate_authority_of_eks_is_accepted_by_strict_pythons(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificate lacks the key identifiers that Python requires from 3.13 on. Here every Python requires them."""
    default = ssl.create_default_context

    def strict(**options: str) -> ssl.SSLContext:
        context = default(**options)  # type: ignore[arg-type]
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    with certificates.serving(AUTHORITY, json.dumps({"kind": "Status"})) as address:
        monkeypatch.setattr(ssl, "create_default_context", strict)
        world.answers(address)
        entry = world.access.entry()
        assert entry.pool.request("GET", f"{address}/", retries=False).status == 200
        world.clock.advance(10)
        world.answers(address, certificates.authority().pem)
        assert world.access.renewed(entry)
        with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
            world.access.entry().pool.request("GET", f"{address}/", retries=False)
