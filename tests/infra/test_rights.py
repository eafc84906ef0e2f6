"""Tests of least privilege. The calls of each function in whole launches are exactly those that its role allows."""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.infra.deployed.recorded import Recorder
from tests.infra.deployed.rights import (
    FUNCTIONS,
    RESOURCES,
    Right,
    granted,
    narrowed,
    needed_by_the_platform,
    role_of,
    writable_keys,
)
from tests.infra.deployed.simulated import TABLE, lived_through
from tests.infra.deployed.stories import STORIES
from tests.infra.deployed.system import ON_ANOTHER_CLUSTER, deployed

Used = Mapping[str, set[Right]]
SEEDS = range(1, 41)
pytestmark = pytest.mark.xdist_group("rights")  # the stories run a single time


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    """Provide the record of all calls that the stories made the functions do."""
    recorder = Recorder()
    for story in STORIES.values():
        with deployed(recorder) as deployment:
            story(deployment)
    for name in ("sessions_are_idle", "sessions_and_records_are_compared"):
        with deployed(recorder, ON_ANOTHER_CLUSTER) as deployment:
            STORIES[name](deployment)
    return recorder


@pytest.fixture(scope="module")
def used(recorder: Recorder) -> Used:
    return recorder.used


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_rights_of_a_function_are_exactly_those_that_it_uses(used: Used, function: str) -> None:
    needed = used[function] | needed_by_the_platform(function)
    assert sorted(granted(function) - needed) == [], "allowed, and never done"
    assert sorted(needed - granted(function)) == [], "done, and not allowed"


@pytest.mark.parametrize("function", narrowed())
def test_a_public_function_writes_only_its_own_kinds_of_items(recorder: Recorder, function: str) -> None:
    patterns = writable_keys(function)
    assert "*" not in patterns
    used = {pattern for pattern in patterns for key in recorder.written[function] if fnmatchcase(key, pattern)}
    refused = {key for key in recorder.written[function] if not any(fnmatchcase(key, pattern) for pattern in patterns)}
    assert sorted(patterns - used) == [], "allowed, and never written"
    assert sorted(refused) == [], "written, and not allowed"


def test_the_list_of_public_functions_is_complete() -> None:
    assert narrowed() == ["ServePages", "StreamLaunch", "AnswerApi", "RecordLog"]


def test_no_fault_makes_a_function_exceed_its_rights() -> None:
    used = lived_through(SEEDS)
    assert used.keys() > {"ResolveRepository", "StartBuild", "RecordBuild", "StartSession", "FailLaunch", "Reconcile"}
    for function in used.keys() - {""}:
        assert sorted(used[function] - granted(function)) == [], function


def test_the_simulation_and_the_adapter_use_the_same_rights(used: Used) -> None:
    expected = {
        Right(f"dynamodb:{right.split()[0]}", right.split()[1]) for rights in TABLE.values() for right in rights
    }
    assert expected == {right for rights in used.values() for right in rights if right.action.startswith("dynamodb:")}


def test_every_function_has_its_own_role() -> None:
    roles = [role_of(function) for function in FUNCTIONS]
    assert sorted(roles) == sorted(f"{function}Role" for function in FUNCTIONS)
    for role in roles:
        (trusted,) = RESOURCES[role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert trusted == {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }


def test_a_policy_for_every_resource_has_a_documented_reason() -> None:
    """AWS's own policies count, too. Those that SAM would add cover all queues and all logs."""
    broad = {name for name, resource in RESOURCES.items() if _is_broad(resource.get("Properties", {}))}
    assert broad == {name for name, resource in RESOURCES.items() if "WhyEveryResource" in resource.get("Metadata", {})}
    assert all(len(RESOURCES[name]["Metadata"]["WhyEveryResource"]) > 40 for name in broad)


def _is_broad(properties: Mapping[str, Any]) -> bool:
    statements = [
        statement
        for policy in (*properties.get("Policies", []), {"PolicyDocument": properties.get("PolicyDocument", {})})
        if isinstance(policy, dict)
        for statement in policy.get("PolicyDocument", {}).get("Statement", [])
    ]
    texts = [text for statement in statements for text in _texts((statement["Action"], statement.get("Resource", "*")))]
    foreign = [text for text in _texts(properties.get("ManagedPolicyArns", [])) if ":aws:policy/" in text]
    return bool(foreign) or any("*" in text for text in texts)


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for inner in value.values():
                yield from _texts(inner)
        case list() | tuple():
            for inner in value:
                yield from _texts(inner)
