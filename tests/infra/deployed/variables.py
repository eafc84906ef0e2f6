"""The functions' environments, once the stack has its parameters."""

import re
from collections.abc import Mapping
from typing import Any

from tests.infra.deployed.recorded import PHYSICAL
from tests.infra.deployed.rights import FUNCTIONS, TEMPLATE
from tests.serving import aws

SECRET = "a secret of the tests, 32 characters or more"
"""The content of every secret in Secrets Manager."""
STACK_ID = f"arn:aws:cloudformation:{aws.REGION}:123456789012:stack/Bindery/51af3dc0-da77-11e4-872e-1234567db123"


def variables(function: str = "", **parameters: str) -> dict[str, str]:
    """Return a function's environment, or without a name the variables of all functions.

    parameters: those that are not at their defaults.
    """
    shared = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    own = FUNCTIONS[function]["Properties"].get("Environment", {}).get("Variables", {}) if function else {}
    return {name: str(resolved(value, parameters)) for name, value in {**shared, **own}.items()}


def resolved(value: object, parameters: Mapping[str, str]) -> object:
    """Return the value that CloudFormation makes of a property of the template."""
    match value:
        case {"Ref": "AWS::NoValue"}:
            return None
        case {"Ref": "AWS::StackId"}:
            return STACK_ID
        case {"Ref": str(name)}:
            return _parameter(name, parameters) if name in TEMPLATE["Parameters"] else f"{PHYSICAL}-{name}"
        case {"If": [str(condition), this, otherwise]}:
            return resolved(this if holds({"Condition": condition}, parameters) else otherwise, parameters)
        case {"Select": _} | {"Join": _} | {"Sub": _}:
            return _text(value, parameters)
        case str() | int():
            return value
        case dict():
            return {name: resolved(inner, parameters) for name, inner in value.items()}
    raise TypeError(value)


def _text(value: object, parameters: Mapping[str, str]) -> str:
    """Return the text that a function of CloudFormation puts together or takes apart."""
    match value:
        case {"Select": [int(number), {"Split": [str(mark), inner]}]}:
            return str(resolved(inner, parameters)).split(mark)[number]
        case {"Join": [str(between), list(parts)]}:
            return between.join(str(resolved(part, parameters)) for part in parts)
        case {"Sub": [str(text), dict(more)]}:
            for name, inner in more.items():
                text = text.replace(f"${{{name}}}", str(resolved(inner, parameters)))
            return _text({"Sub": text}, parameters)
        case {"Sub": str(text)} if text.startswith("{{resolve:secretsmanager:"):
            return SECRET
        case {"Sub": str(text)}:
            return re.sub(r"\$\{(\w+)\}", lambda named: _named(named[1], parameters), text)
    raise TypeError(value)


def holds(condition: Mapping[str, Any], parameters: Mapping[str, str]) -> bool:
    """Return True if the condition of the template is true."""
    match condition:
        case {"Condition": str(name)}:
            return holds(TEMPLATE["Conditions"][name], parameters)
        case {"Equals": [this, that]}:
            return resolved(this, parameters) == resolved(that, parameters)
        case {"Not": [inner]}:
            return not holds(inner, parameters)
        case {"And": list(inner)}:
            return all(holds(each, parameters) for each in inner)
        case {"Or": list(inner)}:
            return any(holds(each, parameters) for each in inner)
    raise TypeError(condition)


def _parameter(name: str, parameters: Mapping[str, str]) -> str:
    return str(parameters.get(name, TEMPLATE["Parameters"][name]["Default"]))


def _named(name: str, parameters: Mapping[str, str]) -> str:
    """Return the value of `${name}`: a parameter's, or a queue's address."""
    if name in TEMPLATE["Parameters"]:
        return _parameter(name, parameters)
    return f"https://sqs.{aws.REGION}.amazonaws.com/123456789012/{PHYSICAL}-{name}"
