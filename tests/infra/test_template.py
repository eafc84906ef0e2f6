"""Tests of `template.yaml` against itself, the code it deploys, and the accounts that code needs."""

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bindery.adapters.jupyter import activity
from bindery.settings import Settings
from bindery.state.records import DEADLINE_GRACE_SECONDS
from bindery.usecases import cull_sessions
from bindery_local.template import load
from tests.serving import aws
from tests.serving.messages import check_readable
from tests.serving.packages import sam
from tests.serving.transformed import of_type

ROOT = Path(__file__).parents[2]
Resource = Mapping[str, Any]


@pytest.fixture(scope="module")
def template() -> Resource:
    return load(ROOT / "template.yaml")


@pytest.fixture(scope="module")
def resources(template: Resource) -> Mapping[str, Resource]:
    by_name: Mapping[str, Resource] = template["Resources"]
    return by_name


def functions(resources: Mapping[str, Resource]) -> dict[str, Resource]:
    return of_type(resources, "AWS::Serverless::Function")


def queues(resources: Mapping[str, Resource]) -> dict[str, Resource]:
    return of_type(resources, "AWS::SQS::Queue")


def test_the_template_passes_cfn_lint() -> None:
    command = [str(Path(sys.executable).parent / "cfn-lint"), "template.yaml"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")


def test_the_template_is_valid_for_sam() -> None:
    environment = {**os.environ, "SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": aws.REGION}
    command = [str(sam()), "validate", "--lint", "--template", str(ROOT / "template.yaml")]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "is a valid SAM Template" in ran.stdout


def test_folders_and_functions_correspond(resources: Mapping[str, Resource]) -> None:
    folders = sorted(f"functions/{path.parent.name}/" for path in (ROOT / "functions").glob("*/handler.py"))
    everything = sorted(f"functions/{path.name}/" for path in (ROOT / "functions").iterdir() if path.is_dir())
    assert sorted(function["CodeUri"] for function in functions(resources).values()) == folders
    assert [folder for folder in everything if "__pycache__" not in folder] == folders


def test_a_function_has_the_name_of_its_folder(resources: Mapping[str, Resource]) -> None:
    for name, function in functions(resources).items():
        assert function["CodeUri"] == f"functions/{re.sub(r'(?<!^)(?=[A-Z])', '_', name).lower()}/"


def test_every_handler_exists(resources: Mapping[str, Resource], template: Resource) -> None:
    usual = template["Globals"]["Function"]["Handler"]
    for function in functions(resources).values():
        folder = ROOT / function["CodeUri"]
        module = importlib.import_module(function["CodeUri"].strip("/").replace("/", ".") + ".handler")
        if (handler := function.get("Handler", usual)) == "handler.handler":
            assert callable(module.handler)
        else:
            assert os.access(folder / handler, os.X_OK)
            assert callable(module.app)


def test_a_message_stays_hidden_for_the_maximum_time_of_its_function(
    resources: Mapping[str, Resource], template: Resource
) -> None:
    usual = template["Globals"]["Function"]["Timeout"]
    checked = set()
    for function in functions(resources).values():
        for event in function["Events"].values():
            if event["Type"] != "SQS":
                continue
            queue = event["Properties"]["Queue"]["GetAtt"].removesuffix(".Arn")
            checked.add(queue)
            assert queues(resources)[queue]["VisibilityTimeout"] >= function.get("Timeout", usual), queue
            assert event["Properties"]["BatchSize"] == 1, "one that fails would take others with it"
    assert checked == set(queues(resources)) - {"Unburied"}, "every queue but the last has one who reads it"


def test_a_sweep_has_time_for_its_last_answers_and_for_recording_them(resources: Mapping[str, Resource]) -> None:
    asking = cull_sessions.ACTIVITY_SECONDS + activity.ANSWER_SECONDS
    assert functions(resources)["CullSessions"]["Timeout"] >= asking + 60


def test_every_queue_except_the_last_has_an_existing_dead_letter_queue(resources: Mapping[str, Resource]) -> None:
    last = []
    for name, queue in queues(resources).items():
        if "RedrivePolicy" not in queue:
            last.append(name)
            continue
        target = queue["RedrivePolicy"]["deadLetterTargetArn"]["GetAtt"].removesuffix(".Arn")
        assert target in queues(resources)
        assert target != name
        assert int(queue["RedrivePolicy"]["maxReceiveCount"]) > 1
    assert last == ["Unburied"]


def test_an_unprocessable_message_ends_its_launch_before_the_deadline(
    resources: Mapping[str, Resource], template: Resource
) -> None:
    """A message that can never be handled ends its launch before the launch's own deadline would."""
    deadline = template["Parameters"]["BuildSeconds"]["Default"] + DEADLINE_GRACE_SECONDS
    for name in ("ResolveQueue", "BuildsQueue", "SessionsQueue"):
        queue = queues(resources)[name]
        assert queue["VisibilityTimeout"] * queue["RedrivePolicy"]["maxReceiveCount"] < deadline


def test_a_message_survives_twenty_minutes_of_throttled_functions(resources: Mapping[str, Resource]) -> None:
    """Lambda counts a receive even if it has no place to run the message. Five receives were used up after five
    minutes of throttling.
    """
    for name in ("ResolveQueue", "BuildsQueue", "SessionsQueue"):
        queue = queues(resources)[name]
        assert queue["VisibilityTimeout"] * queue["RedrivePolicy"]["maxReceiveCount"] >= 20 * 60


def test_every_variable_is_a_setting(template: Resource) -> None:
    places = [template["Globals"]["Function"], *functions(template["Resources"]).values()]
    variables = {name for place in places for name in place.get("Environment", {}).get("Variables", {})}
    names = {name.removeprefix("BINDERY_").lower() for name in variables if name.startswith("BINDERY_")}
    assert names <= Settings.model_fields.keys()
    periods = [
        resource["Metadata"]["LocalPeriod"] for resource in template["Resources"].values() if _is_timed(resource)
    ]
    assert {period.removeprefix("BINDERY_").lower() for period in periods} <= Settings.model_fields.keys()


def _is_timed(resource: Resource) -> bool:
    return any(event["Type"] == "ScheduleV2" for event in resource["Properties"].get("Events", {}).values())


def test_every_parameter_is_used(template: Resource) -> None:
    body = str({name: template[name] for name in ("Conditions", "Globals", "Resources")})
    used = {*re.findall(r"\{'Ref': '(\w+)'\}", body), *re.findall(r"\$\{(\w+)\}", body)}
    assert [name for name in template["Parameters"] if name not in used] == []


def test_every_parameter_has_a_description_and_a_group(template: Resource) -> None:
    assert [
        name for name, parameter in template["Parameters"].items() if len(parameter.get("Description", "")) < 10
    ] == []
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert sorted(name for group in groups for name in group["Parameters"]) == sorted(template["Parameters"])


def test_every_parameter_has_a_default(template: Resource) -> None:
    assert [name for name, parameter in template["Parameters"].items() if "Default" not in parameter] == []


def test_only_functions_that_sign_or_read_tokens_have_the_secret(
    resources: Mapping[str, Resource], template: Resource
) -> None:
    """`test_rights.py` gives each function its own variables. So it shows that these three need the secret, and no
    other function does.
    """
    assert "BINDERY_SECRET" not in template["Globals"]["Function"]["Environment"]["Variables"]
    knowing = [name for name, function in functions(resources).items() if "BINDERY_SECRET" in str(function)]
    assert knowing == ["ServePages", "StreamLaunch", "AnswerApi"]


def test_logs_expire_and_the_table_is_never_deleted(resources: Mapping[str, Resource]) -> None:
    logs = of_type(resources, "AWS::Logs::LogGroup")
    assert [name for name, group in logs.items() if "RetentionInDays" not in group] == []
    policies = [resources["Table"][policy] for policy in ("DeletionPolicy", "UpdateReplacePolicy")]
    assert policies == ["RetainExceptOnCreate", "Retain"]
    table = resources["Table"]["Properties"]
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}


def test_every_function_writes_to_the_shared_log_group(template: Resource) -> None:
    """Lambda would otherwise make a log of its own, which is kept for ever."""
    assert template["Globals"]["Function"]["LoggingConfig"]["LogGroup"] == {"Ref": "Logs"}
    assert [name for name, function in functions(template["Resources"]).items() if "LoggingConfig" in function] == []


def test_every_queue_is_encrypted(resources: Mapping[str, Resource]) -> None:
    assert [name for name, queue in queues(resources).items() if not queue.get("SqsManagedSseEnabled")] == []


def test_every_queue_in_a_message_has_an_address(template: Resource) -> None:
    urls = template["Globals"]["Function"]["Environment"]["Variables"]["BINDERY_QUEUE_URLS"]["Sub"]
    addresses = dict(re.findall(r'"(\w+)": "\$\{(\w+)\}"', urls))
    assert addresses == {
        queue.removesuffix("Queue").lower(): queue for queue in queues(template["Resources"]) if queue.endswith("Queue")
    }


@pytest.mark.parametrize("kind", ["INTEGRATION_FAILURE", "THROTTLED", "DEFAULT_5XX"])
def test_refusals_by_the_api_itself_say_when_to_retry(template: Resource, kind: str) -> None:
    """API Gateway uses INTEGRATION_FAILURE for a function that Lambda throttles; it would answer 500 or 504."""
    refusal = template["Resources"]["Api"]["Properties"]["GatewayResponses"][kind]
    headers = refusal["ResponseParameters"]["Headers"]
    static = {name: value.strip("'") for name, value in headers.items()}
    assert headers == {name: f"'{value}'" for name, value in static.items()}, "an unquoted value is an expression"
    assert int(static["Retry-After"]) > 0
    assert (static["Access-Control-Allow-Origin"], static["Cache-Control"]) == ("*", "no-store")
    payload = json.loads(refusal["ResponseTemplates"]["application/json"])
    assert re.fullmatch("[a-z0-9_]+", payload["code"])
    check_readable(payload["message"])
    assert refusal.get("StatusCode", 503) == 503
