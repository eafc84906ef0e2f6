"""The table as template.yaml describes it, so that tests run on the deployed definition."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import CreateTableInputTypeDef

TEMPLATE = Path(__file__).parents[2] / "template.yaml"


class _Loader(yaml.SafeLoader):
    """A loader that reads CloudFormation's own tags (`!Ref`, `!Sub`, ...) as the plain values behind them."""


def _plain(loader: _Loader, _tag: str, node: yaml.Node) -> object:
    match node:
        case yaml.ScalarNode():
            return loader.construct_scalar(node)
        case yaml.SequenceNode():
            return loader.construct_sequence(node, deep=True)
        case yaml.MappingNode():
            return loader.construct_mapping(node, deep=True)
    raise TypeError(node)


_Loader.add_multi_constructor("!", _plain)


def properties(template: Path = TEMPLATE, resource: str = "Table") -> Mapping[str, Any]:
    """Return the properties of one resource of the template. Raise KeyError."""
    definition: Mapping[str, Any] = _read(template)["Resources"][resource]["Properties"]
    return definition


@cache
def _read(template: Path) -> Mapping[str, Any]:
    read: Mapping[str, Any] = yaml.load(template.read_text(), Loader=_Loader)
    return read


def create(client: "DynamoDBClient", name: str, template: Path = TEMPLATE) -> None:
    """Create the template's table under `name`, and return once it can be used."""
    table = properties(template)
    request: CreateTableInputTypeDef = {
        "TableName": name,
        "KeySchema": table["KeySchema"],
        "AttributeDefinitions": table["AttributeDefinitions"],
        "GlobalSecondaryIndexes": table["GlobalSecondaryIndexes"],
        "BillingMode": table["BillingMode"],
    }
    client.create_table(**request)
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
