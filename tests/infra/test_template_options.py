"""Tests of parts of the template that no other test covers: an optional name, streaming, and the fate of images and
builds.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from bindery.domain.environment import OLDEST_IMAGE_DAYS
from bindery.settings import Settings
from tests.infra.deployed.rights import RESOURCES, TEMPLATE
from tests.infra.deployed.variables import holds, resolved

NAMED = {"DomainName": "binder.example.org", "CertificateArn": "arn:aws:acm:eu-central-1:123456789012:certificate/x"}


def properties(name: str) -> Mapping[str, Any]:
    result: Mapping[str, Any] = RESOURCES[name]["Properties"]
    return result


@pytest.mark.parametrize("parameters", [{}, NAMED], ids=["without", "with"])
def test_a_domain_name_is_optional(parameters: Mapping[str, str]) -> None:
    """Without a name of its own the stack has no resource for it and reports API Gateway's address. With a name it
    reports that name.
    """
    belonging = {name for name, definition in RESOURCES.items() if definition.get("Condition") == "HasDomain"}
    assert belonging == {"OwnName", "OwnNameLeadsHere"}
    assert all(holds(RESOURCES[name], parameters) == bool(parameters) for name in belonging)
    others = {name: definition for name, definition in RESOURCES.items() if name not in belonging}
    assert not [name for name in others if any(f"'{each}" in str(others[name]) for each in belonging)]
    outputs = TEMPLATE["Outputs"]
    assert outputs["NameLeadsTo"]["Condition"] == "HasDomain"
    address = str(resolved(outputs["Address"]["Value"], parameters))
    assert address.startswith("https://binder.example.org/" if parameters else "https://") and address.endswith("/")
    assert ("binder.example.org" in address) == bool(parameters)


def test_a_domain_name_requires_its_certificate() -> None:
    rule = TEMPLATE["Rules"]["ANameNeedsItsCertificate"]
    (must,) = rule["Assertions"]
    assert not holds(rule["RuleCondition"], {})
    assert holds(rule["RuleCondition"], NAMED)
    assert holds(must["Assert"], NAMED)
    assert not holds(must["Assert"], {**NAMED, "CertificateArn": ""})


def test_a_budget_is_optional_and_requires_an_email_address() -> None:
    budget = {"MonthlyBudget": "100", "AlarmEmail": "you@example.net"}
    assert [holds(RESOURCES["Budget"], each) for each in ({}, budget)] == [False, True]
    rule = TEMPLATE["Rules"]["ABudgetNeedsSomebodyToTell"]
    (must,) = rule["Assertions"]
    assert not holds(rule["RuleCondition"], {})
    assert [holds(must["Assert"], each) for each in ({"MonthlyBudget": "100"}, budget)] == [False, True]
    notices = properties("Budget")["NotificationsWithSubscribers"]
    assert [each["Subscribers"][0]["Address"] for each in notices] == [{"Ref": "AlarmEmail"}] * 2
    assert "BudgetName" not in properties("Budget")["Budget"], "a second stack has one of its own"


def test_memory_and_duration_of_a_watcher_are_limited() -> None:
    function = properties("StreamLaunch")
    assert function["MemorySize"] == 256
    assert int(function["Environment"]["Variables"]["BINDERY_PAGE_STREAM_SECONDS"]) == 90


def test_sessions_run_on_exactly_one_cluster() -> None:
    (must,) = TEMPLATE["Rules"]["OneCluster"]["Assertions"]
    eks, other = {"EksCluster": "sessions"}, {"KubeconfigSecret": "bindery-cluster"}
    assert [holds(must["Assert"], parameters) for parameters in ({}, eks, other, {**eks, **other})] == [
        False,
        True,
        True,
        False,
    ]


def test_a_stream_ends_before_the_limits_of_its_function_and_of_api_gateway() -> None:
    """A stream ends by itself, in words, before the function does. The function ends before the API would cut it, or
    at that moment.
    """
    route = properties("StreamLaunch")["Events"]["Build"]["Properties"]
    assert (route["Path"], route["ResponseTransferMode"]) == ("/build/{proxy+}", "RESPONSE_STREAM")
    ends = [Settings.model_fields["stream_seconds"].default, properties("StreamLaunch")["Timeout"]]
    assert [*ends, route["TimeoutInMillis"] / 1000] == [840, 900, 900]
    variables = properties("StreamLaunch")["Environment"]["Variables"]
    assert (variables["AWS_LAMBDA_EXEC_WRAPPER"], variables["AWS_LWA_INVOKE_MODE"]) == (
        "/opt/bootstrap",
        "response_stream",
    )
    assert [resolved(each, {"WebAdapterLayer": "x"}) for each in properties("StreamLaunch")["Layers"]] == ["x"]
    assert properties("Api")["EndpointConfiguration"] in ("REGIONAL", {"Type": "REGIONAL"}), "others do not stream"


def test_images_expire_after_the_configured_days_and_tags_are_immutable() -> None:
    images = properties("Images")
    text = images["LifecyclePolicy"]["LifecyclePolicyText"]
    untagged, old = [rule["selection"] for rule in json.loads(text)["rules"]]
    assert (untagged["tagStatus"], untagged["countUnit"], untagged["countNumber"]) == ("untagged", "days", 1)
    assert (old["tagStatus"], old["countUnit"]) == ("any", "days")
    assert old["countNumber"] > OLDEST_IMAGE_DAYS + 30, (
        "an image that is launched, or in use, is made again before it goes"
    )
    assert properties("Reconcile")["Environment"]["Variables"]["BINDERY_IMAGE_DAYS"] == {"Ref": "ImageDays"}
    assert images["ImageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    (moving,) = images["ImageTagMutabilityExclusionFilters"]
    assert moving["ImageTagMutabilityExclusionFilterValue"] == "cache-*"


def test_logs_and_ends_of_builds_reach_the_functions_that_record_them() -> None:
    assert properties("Builds")["LogsConfig"]["CloudWatchLogs"] == {
        "Status": "ENABLED",
        "GroupName": {"Ref": "BuildLogs"},
    }
    assert properties("RecordLog")["Events"]["Lines"]["Properties"]["LogGroupName"] == {"Ref": "BuildLogs"}
    pattern = properties("RecordBuild")["Events"]["Changed"]["Properties"]["Pattern"]
    assert pattern["detail"]["project-name"] == [{"Ref": "Builds"}], "and no other project's of the account"
    assert pattern["detail"]["build-status"] == [{"anything-but": "IN_PROGRESS"}]


def test_codebuild_limits_a_build_to_little_more_than_the_build_limit() -> None:
    """CodeBuild's own limits end a build if neither the builder nor the build's own limit ends it."""
    project, longest = properties("Builds"), TEMPLATE["Parameters"]["BuildSeconds"]["Default"] / 60
    assert longest < project["TimeoutInMinutes"] <= 2 * longest
    assert project["QueuedTimeoutInMinutes"] <= longest


@pytest.mark.parametrize(
    ("parameters", "layer"),
    [
        ({}, "LambdaAdapterLayerX86:27"),
        ({"Architecture": "arm64"}, "LambdaAdapterLayerArm64:27"),
        ({"WebAdapterLayer": "arn:aws-cn:lambda:cn-north-1:1:layer:x:1"}, "x:1"),
    ],
)
def test_the_web_adapter_layer_matches_region_and_architecture(parameters: Mapping[str, str], layer: str) -> None:
    (address,) = [str(resolved(each, parameters)) for each in properties("StreamLaunch")["Layers"]]
    assert address.endswith(f":layer:{layer}")
    if "WebAdapterLayer" not in parameters:
        assert address.startswith("arn:${AWS::Partition}:lambda:${AWS::Region}:753240598075:")
    assert resolved(TEMPLATE["Globals"]["Function"]["Architectures"][0], parameters) == parameters.get(
        "Architecture", "x86_64"
    )


@pytest.mark.parametrize(
    ("parameters", "name"),
    [({}, "bindery-51af3dc0-da77-11e4-872e-1234567db123"), ({"ImagesName": "acme/binder"}, "acme/binder")],
)
def test_images_are_in_a_repository_of_this_stack_only(parameters: Mapping[str, str], name: str) -> None:
    """A stack's name may have capitals, which ECR refuses; its id has none."""
    assert resolved(properties("Images")["RepositoryName"], parameters) == f"{name}/sessions"
    registry = resolved(TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]["BINDERY_REGISTRY"], parameters)
    assert str(registry).partition("://")[2].partition("/")[2] == name
    assert re.fullmatch(r"(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*", f"{name}/sessions")
