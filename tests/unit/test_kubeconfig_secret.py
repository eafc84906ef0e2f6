"""A kubeconfig in Secrets Manager: its permitted contents, the times at which it is read, and the effect of a change."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from moto import mock_aws
from urllib3.exceptions import HTTPError

from bindery.adapters.aws.kubeconfig_secret import LOOK_SECONDS, SecretAccess
from bindery.adapters.kubernetes.access import LOOK_AGAIN_SECONDS
from bindery.adapters.kubernetes.kubeconfig import Unusable, read
from bindery.domain.errors import ClusterRefused, LauncherDown
from tests.fakes.clock import FakeClock
from tests.serving import aws, certificates

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

NAME = "bindery/kubeconfig"
AUTHORITY = certificates.authority()


def data(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def kubeconfig(token: str = "one", server: str = "https://one.cluster.test", **user: str) -> dict[str, Any]:
    cluster = {"server": server, "certificate-authority-data": data(AUTHORITY.pem)}
    return {
        "current-context": "here",
        "contexts": [{"name": "there", "context": {}}, {"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user or {"token": token}}],
    }


class World:
    """A secret on moto, with a count of its reads."""

    def __init__(self, client: "SecretsManagerClient") -> None:
        self.client, self.clock, self.reads = client, FakeClock(), 0
        client.create_secret(Name=NAME, SecretString=json.dumps(kubeconfig()))
        client.meta.events.register("before-call.secretsmanager.GetSecretValue", self._count)
        self.access = SecretAccess(NAME, client, self.clock)

    def keep(self, config: object) -> None:
        text = config if isinstance(config, str) else json.dumps(config)
        self.client.put_secret_value(SecretId=NAME, SecretString=text)

    def _count(self, **_: object) -> None:
        self.reads += 1


@pytest.fixture
def world() -> Iterator[World]:
    with mock_aws():
        world = World(aws.session().client("secretsmanager"))
        yield world
        world.access.close()


def test_the_secret_is_read_once_and_again_every_few_minutes(world: World) -> None:
    first = world.access.entry()
    assert (first.address, first.authorization) == ("https://one.cluster.test", "Bearer one")
    world.clock.advance(LOOK_SECONDS - 1)
    assert world.access.entry() is first
    assert world.reads == 1
    world.clock.advance(1)
    assert world.access.entry() is first
    assert world.access.entry() is first
    assert world.reads == 2


def test_a_refused_token_is_replaced_without_closing_connections(world: World) -> None:
    first = world.access.entry()
    world.clock.advance(10)
    assert not world.access.renewed(first)
    world.keep(kubeconfig("two"))
    world.clock.advance(10)
    assert world.access.renewed(first)
    second = world.access.entry()
    assert second.authorization == "Bearer two"
    assert second.pool is first.pool
    assert world.access.renewed(first), "somebody else renewed it meanwhile"
    assert world.reads == 3


def test_a_cluster_that_refuses_every_call_has_one_secret_read_per_ten_seconds(world: World) -> None:
    refused = world.access.entry()
    for _ in range(3):
        assert not any(world.access.renewed(refused) for _ in range(5))
        world.clock.advance(10)
    assert world.reads == 3


def test_another_cluster_gets_its_own_connections(world: World) -> None:
    first = world.access.entry()
    world.keep(kubeconfig(server="https://two.cluster.test/"))
    world.clock.advance(10)
    assert world.access.renewed(first)
    assert world.access.entry().address == "https://two.cluster.test"
    assert world.access.entry().pool is not first.pool


def test_after_a_connection_failure_the_secret_is_read_again_at_intervals(world: World) -> None:
    first = world.access.entry()
    world.keep(kubeconfig(server="https://two.cluster.test/"))
    assert not world.access.moved(first)
    world.clock.advance(10)
    assert world.access.moved(first)
    assert world.access.entry().address == "https://two.cluster.test"
    second = world.access.entry()
    world.clock.advance(10)
    assert not world.access.moved(second)
    assert not world.access.moved(second)
    assert world.reads == 3


def test_a_secret_that_becomes_unreadable_keeps_its_last_value(world: World) -> None:
    first = world.access.entry()
    world.client.delete_secret(SecretId=NAME)
    world.clock.advance(LOOK_SECONDS)
    assert world.access.entry() is first
    assert not world.access.renewed(first)


def test_a_missing_secret_is_reported_and_used_once_it_exists(world: World) -> None:
    late = SecretAccess("late", world.client, world.clock)
    for _ in range(2):
        with pytest.raises(ClusterRefused) as refused:
            late.entry()
        assert refused.value.facts == {"why": "secret late cannot be read: ResourceNotFoundException"}
    world.client.create_secret(Name="late", SecretString=json.dumps(kubeconfig("three")))
    world.clock.advance(LOOK_AGAIN_SECONDS)
    assert late.entry().authorization == "Bearer three"


def test_errors_of_aws_are_temporary(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def throttled(**_: object) -> None:
        raise world.client.exceptions.ClientError({"Error": {"Code": "ThrottlingException"}}, "GetSecretValue")

    monkeypatch.setattr(world.client, "get_secret_value", throttled)
    with pytest.raises(LauncherDown) as down:
        world.access.entry()
    assert type(down.value) is LauncherDown


def test_an_invalid_kubeconfig_is_reported_until_it_is_corrected(world: World) -> None:
    first = world.access.entry()
    world.keep("hush: [")
    world.clock.advance(10)
    with pytest.raises(ClusterRefused, match="is not YAML") as refused:
        world.access.renewed(first)
    assert "hush" not in str(refused.value)
    with pytest.raises(ClusterRefused, match="is not YAML"):
        world.access.entry()
    world.keep(kubeconfig("two"))
    world.clock.advance(LOOK_AGAIN_SECONDS)
    assert world.access.entry().authorization == "Bearer two"


def test_an_invalid_secret_is_read_every_ten_seconds_at_most(world: World) -> None:
    world.keep("hush: [")
    for _ in range(3):
        for _ in range(5):
            with pytest.raises(ClusterRefused, match="is not YAML"):
                world.access.entry()
        world.clock.advance(LOOK_AGAIN_SECONDS)
    assert world.reads == 3


def test_representations_contain_neither_token_nor_key(world: World) -> None:
    assert "Bearer" not in repr(world.access.entry())
    certificate, key = AUTHORITY.issue("bindery")
    config = kubeconfig(**{"client-certificate-data": data(certificate), "client-key-data": data(key)})
    assert "PRIVATE" not in repr(read(json.dumps(config)))
    assert "hush" not in repr(read(json.dumps(kubeconfig("hush"))))


def change(config: dict[str, Any], part: str, **changes: object) -> dict[str, Any]:
    config[f"{part}s"][-1][part].update(changes)
    return config


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (lambda: "4711", "it is not what a kubeconfig has there"),
        (lambda: "", "it is not what a kubeconfig has there"),
        (lambda: {**kubeconfig(), "current-context": "hush"}, "none of its contexts"),
        (lambda: change(kubeconfig(), "context", user="hush"), "none of its users"),
        (lambda: change(kubeconfig(), "cluster", server="http://hush.test"), "no https:// address"),
        (lambda: change(kubeconfig(), "cluster", **{"insecure-skip-tls-verify": "true"}), "authority"),
        (lambda: change(kubeconfig(), "cluster", **{"certificate-authority": "/hush"}), "certificate-authority-data"),
        (lambda: change(kubeconfig(), "cluster", **{"certificate-authority-data": "hush"}), "none|not what"),
        (lambda: change(kubeconfig(), "user", exec={"command": "hush"}), "exec does not count here: put a token"),
        (lambda: change(kubeconfig(), "user", tokenFile="/hush"), "put the token itself into token"),
        (lambda: change(kubeconfig(), "user", token="hush\r\nHost: x"), "no line of text"),
        (lambda: kubeconfig(**{"client-certificate-data": data("hush")}), "neither a token nor"),
        (lambda: kubeconfig(**{"client-certificate-data": data("hush"), "client-key-data": data("x")}), "is none"),
        (lambda: "x: &a [hush]\ny: *a\n", "uses an alias"),
    ],
)
def test_an_unusable_kubeconfig_is_reported_without_its_content(changed: Callable[[], object], why: str) -> None:
    config = changed()
    text = config if isinstance(config, str) else json.dumps(config)
    with pytest.raises(Unusable, match=why) as unusable:
        read(text).pool()
    assert "hush" not in str(unusable.value)


def test_a_client_certificate_is_used_and_never_remains_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    certificate, key = AUTHORITY.issue("bindery")
    credentials = {"client-certificate-data": data(certificate), "client-key-data": data(key)}
    with certificates.serving(AUTHORITY, "{}", clients_of=AUTHORITY) as address:
        pool = read(json.dumps(kubeconfig(server=address, **credentials))).pool()
        assert list(tmp_path.iterdir()) == []
        assert pool.request("GET", address, retries=False).status == 200
        with pytest.raises(HTTPError):
            read(json.dumps(kubeconfig(server=address))).pool().request("GET", address, retries=False)


def test_a_server_may_have_another_name_than_its_address() -> None:
    with certificates.serving(AUTHORITY, "{}") as address:
        config = change(kubeconfig(server=address), "cluster", **{"tls-server-name": "api.cluster.test"})
        assert read(json.dumps(config)).pool().request("GET", address, retries=False).status == 200
        wrong = change(kubeconfig(server=address), "cluster", **{"tls-server-name": "other.cluster.test"})
        with pytest.raises(Exception, match=r"CERTIFICATE_VERIFY_FAILED|doesn't match"):
            read(json.dumps(wrong)).pool().request("GET", address, retries=False)
