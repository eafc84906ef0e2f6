"""The table's promises over DynamoDB alone: its errors as the port's, lost answers, an index that lags."""

import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.stub import ANY, Stubber

from bindery.adapters.aws.dynamodb import DynamoTable
from bindery.domain.errors import Stale, Throttled
from bindery.ports.table import Delete, Item
from tests.contract.conftest import Dynamo
from tests.serving import aws, template_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = 1_790_000_000.25
QUERY = ("TableName", "KeyConditionExpression", "ExpressionAttributeValues", "Limit")


def lose_one_answer(client: "DynamoDBClient", operation: str) -> list[int]:
    """Lose the answer to the next call of `operation`: the call is carried out, and then it is sent again.

    Return a list that gets an entry each time the call is sent.
    """
    sent: list[int] = []

    def again_once(attempts: int, **_: object) -> int | None:
        sent.append(attempts)
        return 0 if attempts == 1 else None  # 0: send again after no wait

    name = f"needs-retry.dynamodb.{operation}"
    # The stubs do not know that handlers of this event return a value.
    client.meta.events.register_first(name, again_once, unique_id="lose one answer")  # type: ignore[arg-type]
    return sent


@pytest.fixture
def hooks_removed(dynamo: Dynamo) -> Iterator[None]:
    """Remove the hooks after the test, because the client serves other tests later."""
    yield
    events = dynamo.client.meta.events
    for operation in ("PutItem", "TransactWriteItems", "DeleteItem"):
        events.unregister(f"needs-retry.dynamodb.{operation}", unique_id="lose one answer")


@pytest.mark.usefixtures("hooks_removed")
def test_a_put_whose_answer_was_lost_recognises_its_own_write(dynamo: Dynamo) -> None:
    sent = lose_one_answer(dynamo.client, "PutItem")
    put = dynamo.table.put(Item("launch#1", "state", {"phase": "waiting"}))
    changed = dynamo.table.put(put.with_data({"phase": "building"}))
    assert sent == [1, 2, 1, 2]
    assert dynamo.table.get("launch#1", "state") == changed


@pytest.mark.usefixtures("hooks_removed")
def test_a_stale_put_whose_answer_was_lost_is_stale(dynamo: Dynamo) -> None:
    first = dynamo.table.put(Item("launch#1", "state"))
    dynamo.table.put(first)
    lose_one_answer(dynamo.client, "PutItem")
    with pytest.raises(Stale):
        dynamo.table.put(first)


@pytest.mark.usefixtures("hooks_removed")
def test_a_delete_whose_answer_was_lost_succeeds(dynamo: Dynamo) -> None:
    item = dynamo.table.put(Item("launch#1", "state"))
    sent = lose_one_answer(dynamo.client, "DeleteItem")
    dynamo.table.delete(item)
    assert sent == [1, 2]
    assert dynamo.table.get("launch#1", "state") is None


# moto does not read the token that makes repeating a transaction harmless.
@pytest.mark.parametrize("dynamo", ["dynamodb local"], indirect=True)
@pytest.mark.usefixtures("hooks_removed")
def test_a_transaction_whose_answer_was_lost_recognises_its_own_writes(dynamo: Dynamo) -> None:
    gone = dynamo.table.put(Item("slot#1", "claim"))
    sent = lose_one_answer(dynamo.client, "TransactWriteItems")
    dynamo.table.transact([Item("counter", "3", {"count": 1}), Delete(gone)])
    assert sent == [1, 2]
    assert dynamo.table.get("counter", "3") is not None
    assert dynamo.table.get("slot#1", "claim") is None


def test_due_omits_items_that_changed_after_the_index_was_read(dynamo: Dynamo) -> None:
    existing = dynamo.table.put(Item("a", "kept", {}, 0, "shard", NOW))
    put_off = dynamo.table.put(Item("a", "put off", {}, 0, "shard", NOW))
    removed = dynamo.table.put(Item("a", "removed", {}, 0, "shard", NOW))
    done = dynamo.table.put(Item("a", "done", {}, 0, "shard", NOW))

    def meanwhile(**_: object) -> None:
        dynamo.table.put(Item("a", "put off", {}, put_off.version, "shard", NOW + 60))
        dynamo.table.put(Item("a", "done", {}, done.version))
        dynamo.table.delete(removed)

    dynamo.client.meta.events.register("after-call.dynamodb.Query", meanwhile)
    try:
        assert dynamo.table.due("shard", NOW) == [existing]
    finally:
        dynamo.client.meta.events.unregister("after-call.dynamodb.Query", meanwhile)


def test_an_expiry_is_stored_in_the_ttl_attribute_rounded_up_to_seconds(dynamo: Dynamo) -> None:
    dynamo.table.put(Item("launch#1", "state", expires_at=NOW))
    stored = dynamo.client.get_item(TableName=dynamo.name, Key={"pk": {"S": "launch#1"}, "sk": {"S": "state"}})["Item"]
    attribute = template_table.properties()["TimeToLiveSpecification"]["AttributeName"]
    assert stored[attribute] == {"N": "1790000001"}


def test_get_query_and_due_use_consistent_reads(moto_client: "DynamoDBClient") -> None:
    key = {"pk": {"S": "a"}, "sk": {"S": "b"}}
    table = DynamoTable("table", moto_client)
    with Stubber(moto_client) as stub:
        stub.add_response("get_item", {}, {"TableName": "table", "Key": key, "ConsistentRead": True})
        assert table.get("a", "b") is None
        stub.add_response("query", {"Items": []}, {**dict.fromkeys(QUERY, ANY), "ConsistentRead": True})
        assert table.query("a") == []
        stub.add_response("query", {"Items": [key]})
        request = {"RequestItems": {"table": {"Keys": [key], "ConsistentRead": True}}}
        stub.add_response("batch_get_item", {"Responses": {}, "UnprocessedKeys": {}}, request)
        assert table.due("shard", NOW) == []


# DynamoDB's errors


def stubbed(
    client: "DynamoDBClient", operation: str, code: str, status: int, reasons: list[str] | None = None
) -> Stubber:
    stub = Stubber(client)
    details = {"CancellationReasons": [{"Code": reason} for reason in reasons]} if reasons else None
    stub.add_client_error(operation, code, http_status_code=status, modeled_fields=details)
    return stub


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ProvisionedThroughputExceededException", 400),
        ("ThrottlingException", 400),
        ("RequestLimitExceeded", 400),
        ("TransactionConflictException", 400),
        ("InternalServerError", 500),
        ("ServiceUnavailable", 503),
        ("SomethingNobodyHasHeardOf", 502),
    ],
)
def test_temporary_errors_of_dynamodb_are_throttled(moto_client: "DynamoDBClient", code: str, status: int) -> None:
    table = DynamoTable("absent", moto_client)
    with stubbed(moto_client, "put_item", code, status), pytest.raises(Throttled):
        table.put(Item("launch#1", "state"))
    with stubbed(moto_client, "get_item", code, status), pytest.raises(Throttled):
        table.get("launch#1", "state")
    with stubbed(moto_client, "query", code, status), pytest.raises(Throttled):
        table.due("shard", NOW)


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        (["None", "ConditionalCheckFailed"], Stale),
        (["TransactionConflict", "ConditionalCheckFailed"], Stale),
        (["None", "TransactionConflict"], Throttled),
        (["ThrottlingError", "None"], Throttled),
        (["ProvisionedThroughputExceeded", "None"], Throttled),
        (["ValidationError", "None"], ClientError),
    ],
)
def test_a_cancelled_transaction_becomes_the_error_of_its_reasons(
    moto_client: "DynamoDBClient", reasons: list[str], expected: type[Exception]
) -> None:
    table = DynamoTable("absent", moto_client)
    with (
        stubbed(moto_client, "transact_write_items", "TransactionCanceledException", 400, reasons),
        pytest.raises(expected),
    ):
        table.transact([Item("launch#1", "state"), Item("launch#2", "state")])


def test_a_validation_error_is_not_throttled(moto_client: "DynamoDBClient") -> None:
    table = DynamoTable("absent", moto_client)
    with stubbed(moto_client, "get_item", "ValidationException", 400), pytest.raises(ClientError):
        table.get("launch#1", "state")


def test_unprocessed_keys_of_due_are_throttled(moto_client: "DynamoDBClient") -> None:
    key = {"pk": {"S": "a"}, "sk": {"S": "b"}}
    with Stubber(moto_client) as stub:
        stub.add_response("query", {"Items": [key]})
        stub.add_response("batch_get_item", {"Responses": {}, "UnprocessedKeys": {"table": {"Keys": [key]}}})
        with pytest.raises(Throttled):
            DynamoTable("table", moto_client).due("shard", NOW)


def test_an_unreachable_table_is_throttled() -> None:
    with socket.socket() as nobody:  # bound, so that no other process takes the port, and not listening
        nobody.bind(("127.0.0.1", 0))
        once = aws.config().merge(Config(retries={"total_max_attempts": 1, "mode": "standard"}))
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        client = aws.session().client("dynamodb", config=once, endpoint_url=address)
        with pytest.raises(Throttled):
            DynamoTable("table", client).put(Item("launch#1", "state"))
        client.close()
