"""Tests of one instance of a function, deployed as on AWS, under repeated calls. It makes each client only a single
time.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from botocore.session import Session
from moto import mock_aws

from bindery.bootstrap import Adapters, ports, settings, system
from bindery.domain.messages import StopRequested
from bindery_local.aws_events import Context, from_queue
from bindery_local.memory_queue import Delivery
from functions.stop_session import handler
from tests.cluster.shipped import Shipped
from tests.serving import aws, template_table
from tests.serving.inits import SURROUNDINGS
from tests.serving.kubeconfigs import inlined

if TYPE_CHECKING:
    from botocore.client import BaseClient

SECRET = "bindery/kubeconfig"
MADE_ONCE = (settings, ports, system)


@pytest.fixture
def clients(shipped: Shipped, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Provide the list of the clients that are made, starting with a fresh instance."""
    services, create = list[str](), Session.create_client

    def counted(session: Session, service: str, *rest: Any, **more: Any) -> "BaseClient":
        services.append(service)
        return create(session, service, *rest, **more)

    with mock_aws():
        template_table.create(aws.session().client("dynamodb"), SURROUNDINGS["BINDERY_TABLE"])
        aws.session().client("secretsmanager").create_secret(Name=SECRET, SecretString=inlined(shipped.kubeconfig))
        different = {"BINDERY_EKS_CLUSTER": "", "BINDERY_KUBECONFIG_SECRET": SECRET}
        for name, value in {**SURROUNDINGS, **different, "BINDERY_SESSIONS_URL": shipped.address}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(Session, "create_client", counted)
        _forget()
        yield services
        _forget()


def _forget() -> None:
    for each in MADE_ONCE:
        each.cache_clear()


def call(session: str) -> None:
    body = StopRequested(session=session, reason="idle").model_dump_json()
    handler.handler(from_queue(Delivery("1", "stops", body, 1, 0.0, 1)), Context("stop_session"))  # type: ignore[arg-type]  # Lambda's own has no constructor


def test_two_calls_create_each_client_once_and_one_cluster_connection(clients: list[str]) -> None:
    for session in ("first", "second"):
        call(session)
    assert sorted(clients) == ["dynamodb", "secretsmanager"]
    adapters = ports()
    assert isinstance(adapters, Adapters)
    entry = adapters.kubernetes._cluster._access.entry()
    assert entry.pool.connection_from_url(entry.address).num_connections == 1
    assert entry.pool.connection_from_url(entry.address).num_requests >= 4, "two of each call"
    adapters.kubernetes.close()
