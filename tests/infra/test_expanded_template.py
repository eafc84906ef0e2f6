"""Tests of SAM's expansion of the template: names, stages and chains of messages that only the expanded template
shows.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from tests.infra.deployed.rights import FUNCTIONS, granted
from tests.infra.deployed.variables import holds
from tests.serving import aws
from tests.serving.transformed import of_type, transformed

Resource = Mapping[str, Any]


@pytest.fixture(scope="module")
def resources() -> Mapping[str, Resource]:
    by_name: Mapping[str, Resource] = transformed()["Resources"]
    return by_name


def test_the_api_has_exactly_one_stage(resources: Mapping[str, Resource]) -> None:
    """SAM makes a second one of a deployment with a stage's name. It would have neither throttle nor access log."""
    (stage,) = of_type(resources, "AWS::ApiGateway::Stage").values()
    assert stage["StageName"] == "live"
    assert stage["MethodSettings"]
    assert stage["AccessLogSetting"]
    deployments = of_type(resources, "AWS::ApiGateway::Deployment").values()
    assert [each["StageName"] for each in deployments if "StageName" in each] == []


def test_every_physical_name_is_unique_to_the_stack(resources: Mapping[str, Resource]) -> None:
    """Parameters are at their defaults, so that two stacks fit into one account and region."""
    named_resources = {
        name: names
        for name, resource in resources.items()
        if holds({"Condition": resource["Condition"]} if "Condition" in resource else {"Equals": ["", ""]}, {})
        if (names := names_of(resource))
    }
    assert named_resources.keys() >= {"Images", "ApiliveStage"}
    assert any(name.startswith("Library") for name in named_resources)
    shared = {name: names for name, names in named_resources.items() if not any(map(is_of_the_stack, names.values()))}
    assert shared == {}


def names_of(resource: Resource) -> dict[str, object]:
    """Return the properties that name a resource, by CloudFormation's own description of its type."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(aws.REGION, resource["Type"]).schema
    fixed = {path.removeprefix("/properties/") for path in schema.get("createOnlyProperties", [])}
    identifier = {path.removeprefix("/properties/") for path in schema["primaryIdentifier"]}
    naming = identifier | {name for name in fixed if name.endswith("Name")}
    return {name: value for name, value in resource.get("Properties", {}).items() if name in naming}


def is_of_the_stack(value: object) -> bool:
    """Return True if a value contains the stack's name or id, or a resource of it."""
    match value:
        case {"Ref": str(name)}:
            return name in ("AWS::StackName", "AWS::StackId") or name in transformed()["Resources"]
        case {"Fn::GetAtt": _}:
            return True
        case {"Fn::Sub": str(text)}:
            return any(is_of_the_stack({"Ref": name}) for name in re.findall(r"\$\{([\w:]+)", text))
        case {"Fn::Sub": [str(text), dict(variables)]}:
            references = re.findall(r"\$\{([\w:]+)", text)
            return any(is_of_the_stack(variables.get(name, {"Ref": name})) for name in references)
        case {"Fn::If": [str(condition), this, otherwise]}:
            return is_of_the_stack(this if holds({"Condition": condition}, {}) else otherwise)
        case dict():
            return any(map(is_of_the_stack, value.values()))
        case list():
            return any(map(is_of_the_stack, value))
        case _:
            return False


def test_functions_in_a_message_loop_are_allowed_more_than_sixteen_calls(
    resources: Mapping[str, Resource],
) -> None:
    """Lambda ends such a chain after 16 calls, unless the function allows it; a slow start of a session takes up to 75."""
    mappings = of_type(resources, "AWS::Lambda::EventSourceMapping").values()
    consumers = {each["EventSourceArn"]["Fn::GetAtt"][0]: each["FunctionName"]["Ref"] for each in mappings}
    leads_to = {
        function: {consumers[right.resource] for right in granted(function) if right.action == "sqs:SendMessage"}
        for function in FUNCTIONS
    }
    in_a_loop = {function for function in FUNCTIONS if function in reached_from(function, leads_to)}
    assert "StartSession" in in_a_loop
    functions = of_type(resources, "AWS::Lambda::Function")
    assert {name for name in FUNCTIONS if functions[name].get("RecursiveLoop") == "Allow"} == in_a_loop


def reached_from(function: str, leads_to: Mapping[str, set[str]]) -> set[str]:
    """Return the functions that get messages from this one, or from one of those."""
    reached: set[str] = set()
    further = set(leads_to[function])
    while further:
        reached |= further
        further = {each for sender in further for each in leads_to[sender]} - reached
    return reached


def test_a_message_loop_ended_by_lambda_raises_an_alarm(resources: Mapping[str, Resource]) -> None:
    (alarm,) = [
        each
        for each in of_type(resources, "AWS::CloudWatch::Alarm").values()
        if "RecursiveInvocationsDropped" in str(each)
    ]
    assert alarm["Threshold"] == 0
    watched = set(re.findall(r"'FunctionName', 'Value': \{'Ref': '(\w+)'\}", str(alarm["Metrics"])))
    mappings = of_type(resources, "AWS::Lambda::EventSourceMapping").values()
    assert watched == {each["FunctionName"]["Ref"] for each in mappings}


def test_every_queue_limits_its_concurrent_executions(resources: Mapping[str, Resource]) -> None:
    ceilings = {
        each["FunctionName"]["Ref"]: each["ScalingConfig"]["MaximumConcurrency"]["Ref"]
        for each in of_type(resources, "AWS::Lambda::EventSourceMapping").values()
    }
    assert len(set(ceilings.values())) == len(ceilings), "each has a parameter of its own"
    for parameter in ceilings.values():
        about = transformed()["Parameters"][parameter]
        assert (about["MinValue"], about["MaxValue"]) == (2, 1000), "as Lambda takes it"


def test_a_timer_is_never_retried(resources: Mapping[str, Resource]) -> None:
    """Neither its schedule nor Lambda retries it. Lambda would keep a tick for six hours, but the next tick does its
    work.
    """
    schedules = of_type(resources, "AWS::Scheduler::Schedule")
    assert len(schedules) == 2
    once = {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
    functions = set()
    for schedule in schedules.values():
        assert schedule["Target"]["RetryPolicy"] == once
        functions.add(schedule["Target"]["Arn"]["Fn::GetAtt"][0])
    limits = {
        each["FunctionName"]["Ref"]: {name: each[name] for name in once}
        for each in of_type(resources, "AWS::Lambda::EventInvokeConfig").values()
    }
    assert limits == dict.fromkeys(functions, once)


def test_platform_logs_of_each_call_are_turned_off(resources: Mapping[str, Resource]) -> None:
    for function in of_type(resources, "AWS::Lambda::Function").values():
        assert function["LoggingConfig"]["SystemLogLevel"] == "WARN"


def test_resources_depend_only_on_unconditional_resources(resources: Mapping[str, Resource]) -> None:
    """DependsOn on a resource under a condition is not documented to work where the condition is false."""
    for name, resource in resources.items():
        for needed in each_name(resource.get("DependsOn", [])):
            assert "Condition" not in resources[needed], f"{name} depends on {needed}"
    after = resources["Api"]["Metadata"]["After"]
    assert after == {"Fn::If": ["MakesAccessLogRole", {"Ref": "AccessLogAccount"}, ""]}


def each_name(value: str | list[str]) -> Iterator[str]:
    yield from [value] if isinstance(value, str) else value


def test_a_failed_creation_leaves_no_resources(resources: Mapping[str, Resource]) -> None:
    """`Retain` also keeps the resources of a creation that is rolled back. Versions of layers, which SAM keeps, cost
    no money.
    """
    policies = {
        name: resource["DeletionPolicy"]
        for name, resource in resources.items()
        if resource.get("DeletionPolicy", "Delete") != "Delete" and resource["Type"] != "AWS::Lambda::LayerVersion"
    }
    assert policies == dict.fromkeys(("Table", "AccessLogAccount", "ApiLogsRole"), "RetainExceptOnCreate")
