"""Table in DynamoDB.

Keys are `pk` and `sk`, data is one JSON text (numbers and nesting stay exact), and `expires_at` is the TTL in whole seconds.
The index `due` is queried for keys only, and the items are then read consistently. Its projection can therefore be KEYS_ONLY: only
a change of an item's due time writes to the index, and the returned items are never older than the table.

Lost responses: boto3 repeats a call that timed out, and the first call may have succeeded. A put then finds the version that it
was about to write, and recognizes its own write. A transaction carries a token; DynamoDB recognizes a repetition by it for ten
minutes. If no attempt gets a response, the outcome is unknown and Throttled is raised. The caller's retry reads the item first, or
gets Stale.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection

from bindery.adapters.aws.dynamodb_items import delete, item_of, key, number, put
from bindery.adapters.table_limits import (
    check_key,
    check_keys,
    check_limit,
    check_query,
    encode,
    encode_all,
    fresh_version,
)
from bindery.domain.errors import Stale, Throttled
from bindery.ports.table import Delete, Item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        KeysAndAttributesUnionTypeDef,
        QueryInputTypeDef,
        TransactWriteItemTypeDef,
    )

    from bindery.adapters.aws.dynamodb_items import Record, Value

BATCH = 100

# Temporary errors: codes of a whole response, and reasons of one change in a cancelled transaction.
PASSING = {
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "ReplicatedWriteConflictException",
    "RequestLimitExceeded",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TransactionConflictException",
    "TransactionInProgressException",
}
PASSING_REASONS = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}


class DynamoTable:
    """Table port over a DynamoDB table with keys pk, sk and the index `due`. client: boto3's, with its retries and timeouts."""

    def __init__(self, name: str, client: "DynamoDBClient") -> None:
        self._name = name
        self._client = client

    def get(self, pk: str, sk: str) -> Item | None:
        check_key(pk, sk)
        with _facts():
            answer = self._client.get_item(TableName=self._name, Key=key(pk, sk), ConsistentRead=True)
        return item_of(answer["Item"]) if "Item" in answer else None

    def get_all(self, keys: Sequence[tuple[str, str]]) -> list[Item]:
        check_keys(keys)
        return self._read([key(pk, sk) for pk, sk in keys]) if keys else []

    def put(self, item: Item) -> Item:
        text = encode(item)
        written = replace(item, version=fresh_version())
        write = put(self._name, written, text, read=item.version)
        write["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        try:
            with _facts():
                self._client.put_item(**write)
        except Stale as stale:
            if _stored_version(stale) != written.version:
                raise
        return written

    def delete(self, item: Item) -> None:
        check_key(item.pk, item.sk)
        with _facts():
            self._client.delete_item(
                TableName=self._name,
                Key=key(item.pk, item.sk),
                ConditionExpression="attribute_not_exists(pk) OR version = :read",
                ExpressionAttributeValues={":read": {"N": str(item.version)}},
            )

    def transact(self, changes: Sequence[Item | Delete]) -> None:
        texts = encode_all(changes)
        writes: list[TransactWriteItemTypeDef] = [
            {"Delete": delete(self._name, change.item)}
            if isinstance(change, Delete)
            else {"Put": put(self._name, replace(change, version=fresh_version()), text, read=change.version)}
            for change, text in zip(changes, texts, strict=True)
        ]
        with _facts():
            self._client.transact_write_items(TransactItems=writes, ClientRequestToken=secrets.token_hex(16))

    def query(self, pk: str, prefix: str = "", after: str = "", limit: int = 100) -> list[Item]:
        check_query(pk, prefix, after, limit)
        if after > prefix and not after.startswith(prefix):
            return []  # all keys with the prefix sort before `after`
        query: QueryInputTypeDef = {
            "TableName": self._name,
            "ConsistentRead": True,
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :prefix)" if prefix else "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": pk}} | ({":prefix": {"S": prefix}} if prefix else {}),
        }
        if after and after >= prefix:
            query["ExclusiveStartKey"] = key(pk, after)
        return [item_of(record) for record in self._pages(query, limit)]

    def due(self, shard: str, now: float, limit: int = 100) -> list[Item]:
        check_limit(limit)
        query: QueryInputTypeDef = {
            "TableName": self._name,
            "IndexName": "due",
            "KeyConditionExpression": "due_shard = :shard AND due_at <= :now",
            "ExpressionAttributeValues": {":shard": {"S": shard}, ":now": number(now)},
        }
        keys = [key(record["pk"]["S"], record["sk"]["S"]) for record in self._pages(query, limit)]
        items = [item for start in range(0, len(keys), BATCH) for item in self._read(keys[start : start + BATCH])]
        # The index may lag: an item that was postponed or changed since then is not due.
        due = [item for item in items if item.due_shard == shard and item.due_at is not None and item.due_at <= now]
        return sorted(due, key=lambda item: (item.due_at, item.pk, item.sk))

    def _pages(self, query: "QueryInputTypeDef", limit: int) -> "list[Record]":
        records: list[Record] = []
        while True:
            query["Limit"] = limit - len(records)
            with _facts():
                page = self._client.query(**query)
            records += page["Items"]
            if len(records) >= limit or "LastEvaluatedKey" not in page:
                return records
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _read(self, keys: "Sequence[Mapping[str, Value]]") -> list[Item]:
        request: Mapping[str, KeysAndAttributesUnionTypeDef] = {self._name: {"Keys": keys, "ConsistentRead": True}}
        items: list[Item] = []
        while request:
            with _facts():
                answer = self._client.batch_get_item(RequestItems=request)
            received = [item_of(record) for record in answer["Responses"].get(self._name, [])]
            request = answer["UnprocessedKeys"]
            # Some unprocessed keys: one response is too small. No items at all: the table is overloaded.
            if request and not received:
                raise Throttled
            items += received
        return items


@contextmanager
def _facts() -> Iterator[None]:
    """Raise DynamoDB's errors as the port's."""
    try:
        yield
    except ClientError as error:
        fact = _fact(error)
        if fact is None:
            raise
        raise fact from error
    except (NoConnection, HTTPClientError) as error:
        raise Throttled from error


def _fact(error: ClientError) -> Stale | Throttled | None:
    code = error.response["Error"]["Code"]
    reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
    if code == "ConditionalCheckFailedException" or "ConditionalCheckFailed" in reasons:
        return Stale()
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    if code in PASSING or reasons & PASSING_REASONS or status >= 500:
        return Throttled()
    return None


def _stored_version(stale: Stale) -> int | None:
    """Return the stored version for which the condition failed; None if DynamoDB's response does not contain it."""
    cause = stale.__cause__
    if not isinstance(cause, ClientError):
        return None
    record = cause.response.get("Item")
    return int(record["version"]["N"]) if isinstance(record, dict) else None
