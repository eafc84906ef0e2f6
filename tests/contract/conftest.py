"""Every adapter of the table and the queue, for the contract suites."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from moto import mock_aws

from bindery.adapters.aws.dynamodb import DynamoTable
from bindery.adapters.aws.sqs import SqsQueues
from bindery.ports.queue import Queue
from bindery.ports.table import Table
from bindery_local.memory_queue import MemoryQueues
from bindery_local.sqlite_table import SqliteTable
from tests.fakes.queue import FakeQueue
from tests.fakes.table import DictTable
from tests.serving import aws, template_table
from tests.serving.dynamodb_local import dynamodb_local, what_is_missing

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

QUEUES = ("resolve", "builds", "logs")


@dataclass(frozen=True)
class Dynamo:
    """A DynamoDB table with the adapter on it."""

    table: DynamoTable
    client: "DynamoDBClient"
    name: str


@dataclass(frozen=True)
class Sending:
    """A queue. arrived: the bodies that are in the queue of a name now, read as JSON. delayed: the number of bodies still to come."""

    queue: Queue
    arrived: Callable[[str], list[object]]
    delayed: Callable[[str], int]


@pytest.fixture(scope="session")
def dynamodb_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    missing = what_is_missing()
    if missing:
        pytest.skip(missing)
    with dynamodb_local(tmp_path_factory.mktemp("dynamodb-local")) as address:
        yield address


@pytest.fixture(scope="session")
def local_client(dynamodb_address: str) -> "Iterator[DynamoDBClient]":
    client = aws.session().client("dynamodb", config=aws.config(), endpoint_url=dynamodb_address)
    yield client
    client.close()


@pytest.fixture(scope="session")
def moto_client() -> "Iterator[DynamoDBClient]":
    """Return a client for use while moto is on. It is made once, because making a client takes longer than most tests."""
    client = aws.session().client("dynamodb", config=aws.config())
    yield client
    client.close()


@pytest.fixture(params=["dynamodb on moto", "dynamodb local"])
def dynamo(request: pytest.FixtureRequest) -> Iterator[Dynamo]:
    with on_dynamodb(request, request.param) as dynamo:
        yield dynamo


@pytest.fixture(params=["dictionary", "sqlite file", "sqlite in memory", "dynamodb on moto", "dynamodb local"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Table]:
    match request.param:
        case "dictionary":
            yield DictTable()
        case "sqlite file" | "sqlite in memory":
            sqlite = SqliteTable(tmp_path / "table.sqlite" if request.param == "sqlite file" else None)
            yield sqlite
            sqlite.close()
        case where:
            with on_dynamodb(request, where) as dynamo:
                yield dynamo.table


@contextmanager
def on_dynamodb(request: pytest.FixtureRequest, where: str) -> Iterator[Dynamo]:
    on_moto = where == "dynamodb on moto"
    client: DynamoDBClient = request.getfixturevalue("moto_client" if on_moto else "local_client")
    name = f"bindery-{uuid.uuid4().hex}"
    with mock_aws() if on_moto else nullcontext():
        template_table.create(client, name)
        yield Dynamo(DynamoTable(name, client), client, name)
        client.delete_table(TableName=name)


@pytest.fixture(params=["fake", "memory", "sqs on moto"])
def sending(request: pytest.FixtureRequest) -> Iterator[Sending]:
    if request.param == "sqs on moto":
        with mock_aws():
            yield through_sqs()
    else:
        yield through_fake() if request.param == "fake" else through_memory()


def through_fake() -> Sending:
    queue = FakeQueue()

    def arrived(name: str) -> list[object]:
        return [
            sent.message.model_dump(mode="json") for sent in queue.sent if sent.message.queue == name and not sent.delay
        ]

    def delayed(name: str) -> int:
        return sum(1 for sent in queue.sent if sent.message.queue == name and sent.delay)

    return Sending(queue, arrived, delayed)


def through_memory() -> Sending:
    queue = MemoryQueues(elapsed=lambda: 0.0)
    for name in QUEUES:
        queue.configure(name, visibility_seconds=30, max_receive_count=3, dead_letter=None)

    def arrived(name: str) -> list[object]:
        return [json.loads(delivery.body) for delivery in queue.receive(name)]

    return Sending(queue, arrived, queue.depth)


def through_sqs() -> Sending:
    client = aws.session().client("sqs", config=aws.config())
    urls = {name: client.create_queue(QueueName=name)["QueueUrl"] for name in QUEUES}

    def arrived(name: str) -> list[object]:
        response = client.receive_message(QueueUrl=urls[name], MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in response.get("Messages", [])]

    def delayed(name: str) -> int:
        attributes = client.get_queue_attributes(
            QueueUrl=urls[name], AttributeNames=["ApproximateNumberOfMessagesDelayed"]
        )
        return int(attributes["Attributes"]["ApproximateNumberOfMessagesDelayed"])

    return Sending(SqsQueues(client, urls), arrived, delayed)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Provide the path of a working copy that does not exist yet."""
    return tmp_path / "work" / "copy"
