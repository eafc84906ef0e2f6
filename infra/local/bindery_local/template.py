"""Reader of `template.yaml`: functions with their routes, queues, timers and events, and their environment variables."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Resource = Mapping[str, Any]


@dataclass(frozen=True)
class Function:
    """Function of the template.

    module: the module of its handler. streams: an ASGI app (behind the Web Adapter on AWS), not a handler. at_once: the maximum
    number of concurrent calls; None: no limit.
    """

    name: str
    module: str
    streams: bool
    at_once: int | None = None


@dataclass(frozen=True)
class Route:
    """Route of the API. path: in API Gateway's syntax, such as `/v2/{proxy+}`. method: `GET`, or `ANY`."""

    method: str
    path: str
    function: Function

    def matches(self, method: str, path: str) -> bool:
        """Return True if the route matches a request. `{proxy+}` matches at least one character and any number of slashes."""
        pattern = re.escape(self.path).replace(re.escape("{proxy+}"), ".+")
        return self.method in ("ANY", method) and re.fullmatch(pattern, path) is not None


@dataclass(frozen=True)
class Queue:
    """Queue of the template.

    name: as in messages (resource `ResolveQueue` is `resolve`). dead_letter: the queue for undeliverable messages.
    """

    name: str
    visibility_seconds: float
    max_receive_count: int
    dead_letter: str | None


@dataclass(frozen=True)
class Timer:
    """Timer of a function. seconds: the template's rate, or the value of the environment variable that the function's metadata
    names.
    """

    function: Function
    seconds: float
    period_variable: str


@dataclass(frozen=True)
class Refusal:
    """Response of the API in place of a function's. body: JSON."""

    status: int
    headers: Mapping[str, str]
    body: str


AS_IT_IS = Refusal(500, {}, '{"message": "Internal server error"}')
"""API Gateway's default, if the template has no response."""


@dataclass(frozen=True)
class System:
    """Content of the template.

    consumers: queue name to function; `logs` and `events` carry the build service's messages. busy: the response when a function is
    at its limit of concurrent calls.
    """

    routes: tuple[Route, ...]
    queues: tuple[Queue, ...]
    consumers: Mapping[str, Function]
    timers: tuple[Timer, ...]
    environment: Mapping[str, str]
    busy: Refusal = AS_IT_IS


class _Loader(yaml.SafeLoader):
    """YAML loader for CloudFormation's short tags, which it returns as {tag: value}."""


def _tag(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, object]:
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {suffix: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)  # noqa: S101  # YAML has no fourth kind of node
    return {suffix: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _tag)


def load(path: Path) -> Resource:
    """Return the template as plain data; `!Ref X` becomes {"Ref": "X"}."""
    loaded: Resource = yaml.load(path.read_text(), _Loader)  # noqa: S506  # a safe loader with tags of its own
    return loaded


def read(path: Path) -> System:
    """Return the system that the template describes."""
    template = load(path)
    resources: Mapping[str, Resource] = template["Resources"]
    functions = {
        name: _function(name, resource["Properties"], _defaults(template))
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Serverless::Function"
    }
    events = [
        (functions[name], resources[name], event["Type"], event["Properties"])
        for name in functions
        for event in resources[name]["Properties"].get("Events", {}).values()
    ]
    return System(
        routes=tuple(
            Route(p["Method"].upper(), p["Path"], function) for function, _, kind, p in events if kind == "Api"
        ),
        queues=tuple(_queue(name, r["Properties"]) for name, r in resources.items() if r["Type"] == "AWS::SQS::Queue"),
        consumers=dict(filter(None, (_consumer(function, kind, p) for function, _, kind, p in events))),
        timers=tuple(
            Timer(function, _seconds(p["ScheduleExpression"]), resource.get("Metadata", {}).get("LocalPeriod", ""))
            for function, resource, kind, p in events
            if kind == "ScheduleV2"
        ),
        environment=_environment(template),
        busy=_refusal(resources, "INTEGRATION_FAILURE"),  # API Gateway's name for a function that Lambda throttles
    )


def _refusal(resources: Mapping[str, Resource], kind: str) -> Refusal:
    apis = (r["Properties"] for r in resources.values() if r["Type"] == "AWS::Serverless::Api")
    for response in (api["GatewayResponses"][kind] for api in apis if kind in api.get("GatewayResponses", {})):
        headers = {name: value.strip("'") for name, value in response["ResponseParameters"]["Headers"].items()}
        return Refusal(int(response["StatusCode"]), headers, response["ResponseTemplates"]["application/json"])
    return AS_IT_IS


def _function(name: str, properties: Resource, defaults: Mapping[str, str]) -> Function:
    reserved = properties.get("ReservedConcurrentExecutions")
    at_once = defaults[reserved["Ref"]] if isinstance(reserved, dict) else reserved
    variables = properties.get("Environment", {}).get("Variables", {})
    module = properties["CodeUri"].strip("/").replace("/", ".") + ".handler"
    return Function(name, module, "AWS_LWA_INVOKE_MODE" in variables, None if at_once is None else int(at_once))


def _queue(name: str, properties: Resource) -> Queue:
    redrive = properties.get("RedrivePolicy", {})
    dead = redrive.get("deadLetterTargetArn", {}).get("GetAtt", "").removesuffix(".Arn")
    visibility = float(properties.get("VisibilityTimeout", 30))
    return Queue(
        queue_name(name), visibility, int(redrive.get("maxReceiveCount", 5)), queue_name(dead) if dead else None
    )


def queue_name(resource: str) -> str:
    """Return the queue's name: `resolve` for the resource `ResolveQueue`. Other resources keep their name."""
    return resource.removesuffix("Queue").lower() if resource.endswith("Queue") else resource


def _consumer(function: Function, kind: str, properties: Resource) -> tuple[str, Function] | None:
    match kind:
        case "SQS":
            return queue_name(properties["Queue"]["GetAtt"].removesuffix(".Arn")), function
        case "CloudWatchLogs":
            return "logs", function
        case "EventBridgeRule":
            return "events", function
        case _:
            return None


def _seconds(rate: str) -> float:
    match = re.fullmatch(r"rate\((\d+) (second|minute|hour)s?\)", rate)
    if match is None:
        raise ValueError(f"a schedule that is not understood here: {rate}")
    return int(match[1]) * {"second": 1, "minute": 60, "hour": 3600}[match[2]]


def _environment(template: Resource) -> dict[str, str]:
    """Return the functions' variables with plain values, and references to parameters with their defaults.

    Values that exist only on AWS are left out.
    """
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    parameters = _defaults(template)
    plain = {name: value for name, value in variables.items() if isinstance(value, str | int)}
    references = {
        name: parameters[v["Ref"]]
        for name, v in variables.items()
        if isinstance(v, dict) and v.get("Ref") in parameters
    }
    return {name: str(value) for name, value in {**plain, **references}.items()}


def _defaults(template: Resource) -> dict[str, str]:
    return {name: str(p.get("Default", "")) for name, p in template.get("Parameters", {}).items()}
