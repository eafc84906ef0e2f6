"""Format of items in DynamoDB: keys `pk` and `sk`, data as one JSON text, so that numbers and nesting stay exact."""

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from bindery.ports.table import Item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import (
        AttributeValueTypeDef,
        DeleteTypeDef,
        PutTypeDef,
        UniversalAttributeValueTypeDef,
    )

    Value = UniversalAttributeValueTypeDef
    Record = Mapping[str, AttributeValueTypeDef]


def key(pk: str, sk: str) -> "dict[str, Value]":
    """Return an item's key."""
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def number(value: float) -> "Value":
    """Return a number that is read back exactly: it has at most 17 digits, and DynamoDB stores 38."""
    return {"N": repr(float(value))}


def put(table: str, item: Item, text: str, read: int) -> "PutTypeDef":
    """Return the request that writes `item` with `text` as its data, on the condition that the stored version is still `read`."""
    record: dict[str, Value] = {
        **key(item.pk, item.sk),
        "version": {"N": str(item.version)},
        "data": {"S": text},
    }
    if item.due_shard is not None and item.due_at is not None:
        record |= {"due_shard": {"S": item.due_shard}, "due_at": number(item.due_at)}
    if item.expires_at is not None:  # TTL is in whole seconds, and must not be early
        record |= {"expires_at": {"N": str(math.ceil(item.expires_at))}, "expires_exactly": number(item.expires_at)}
    write: PutTypeDef = {"TableName": table, "Item": record, "ConditionExpression": _unchanged(read)}
    if read:
        write["ExpressionAttributeValues"] = {":read": {"N": str(read)}}
    return write


def delete(table: str, item: Item) -> "DeleteTypeDef":
    """Return the request that deletes `item`, on the condition that the stored version is still its own."""
    write: DeleteTypeDef = {
        "TableName": table,
        "Key": key(item.pk, item.sk),
        "ConditionExpression": _unchanged(item.version),
    }
    if item.version:
        write["ExpressionAttributeValues"] = {":read": {"N": str(item.version)}}
    return write


def item_of(record: "Record") -> Item:
    """Return the item that is stored in `record`."""
    return Item(
        pk=record["pk"]["S"],
        sk=record["sk"]["S"],
        data=json.loads(record["data"]["S"]),
        version=int(record["version"]["N"]),
        due_shard=record["due_shard"]["S"] if "due_shard" in record else None,
        due_at=float(record["due_at"]["N"]) if "due_at" in record else None,
        expires_at=float(record["expires_exactly"]["N"]) if "expires_exactly" in record else None,
    )


def _unchanged(read: int) -> str:
    return "version = :read" if read else "attribute_not_exists(pk)"
