"""Rights in IAM's form, and the rights that the template grants to each function."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bindery_local.template import load

TEMPLATE = load(Path(__file__).parents[3] / "template.yaml")
RESOURCES: Mapping[str, Mapping[str, Any]] = TEMPLATE["Resources"]
FUNCTIONS = {name: found for name, found in RESOURCES.items() if found["Type"] == "AWS::Serverless::Function"}
CHANGING = ("dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:UpdateItem")
NAMED = re.compile(r"\$\{(?!AWS::)(\w+)(?:\.\w+)?\}")


class Right(NamedTuple):
    """A right.

    action: such as `sqs:SendMessage`. resource: its name in the template and the rest of its address, or `*`.
    """

    action: str
    resource: str


def granted(function: str) -> set[Right]:
    """Return the rights that the function's role allows."""
    return set(allowed(role_of(function)))


def role_of(function: str) -> str:
    """Return the function's own role. SAM adds no rights to a named role: no policy of AWS's for all queues."""
    properties = FUNCTIONS[function]["Properties"]
    assert "Policies" not in properties, f"{function}: SAM ignores policies beside a role"
    reference: str = properties["Role"]["GetAtt"]
    return reference.removesuffix(".Arn")


def allowed(role: str) -> Iterator[Right]:
    """Yield every right of a role, under any condition."""
    properties = RESOURCES[role]["Properties"]
    for policy in (*_either(properties["Policies"]), *_either(properties.get("ManagedPolicyArns", []))):
        own = RESOURCES[policy["Ref"]]["Properties"] if "Ref" in policy else policy  # AWS's own are refused by this
        for statement in _either(own["PolicyDocument"]["Statement"]):
            assert statement["Effect"] == "Allow"
            for action in _either(statement["Action"]):
                for resource in _either(statement["Resource"]):
                    yield Right(action, _named(resource))


def narrowed() -> list[str]:
    """Return the functions that strangers reach: by a request, or by the lines that a repository's own build prints."""
    reached = ("Api", "CloudWatchLogs")
    return [
        name
        for name, definition in FUNCTIONS.items()
        if any(event["Type"] in reached for event in definition["Properties"]["Events"].values())
    ]


def writable_keys(function: str) -> set[str]:
    """Return the patterns of partition keys that a function's role lets it write in the table; `*` for any."""
    patterns: set[str] = set()
    for policy in RESOURCES[role_of(function)]["Properties"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            if any(action in CHANGING for action in _either(statement["Action"])):
                keys = statement.get("Condition", {}).get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys")
                patterns |= set(keys or ["*"])
    return patterns


def needed_by_the_platform(function: str) -> set[Right]:
    """Return the rights that Lambda uses in the function's name: it writes the log, and reads the queue that calls
    the function.
    """
    rights = {Right(f"logs:{action}", "Logs") for action in ("CreateLogStream", "PutLogEvents")}
    for event in FUNCTIONS[function]["Properties"]["Events"].values():
        if event["Type"] == "SQS":
            queue = event["Properties"]["Queue"]["GetAtt"].removesuffix(".Arn")
            received = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
            rights |= {Right(f"sqs:{action}", queue) for action in received}
    return rights


def _either(value: Any) -> Iterator[Any]:
    """Yield the single value, or each value of a list, or both ways of a condition."""
    match value:
        case list():
            for each in value:
                yield from _either(each)
        case {"If": [_, this, that]}:
            yield from (*_either(this), *_either(that))
        case {"Ref": "AWS::NoValue"}:
            return
        case _:
            yield value


def _named(resource: object) -> str:
    """Return the name that a resource's reference contains.

    `!GetAtt Table.Arn` is `Table`. An address that `!Sub` puts together is its last reference and the text after
    that.
    """
    match resource:
        case {"GetAtt": str(text)} | {"Ref": str(text)}:
            return text.removesuffix(".Arn")
        case {"Sub": str(text)} if references := list(NAMED.finditer(text)):
            return references[-1][1] + text[references[-1].end() :].removesuffix(
                "-??????"
            )  # Secrets Manager's own letters
        case str(text) | {"Sub": str(text)}:
            return text
    raise TypeError(resource)
