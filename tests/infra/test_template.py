"""`template.yaml` against itself, the code it deploys, and the accounts that code needs."""

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bindery.adapters.sessions import activity
from bindery.settings import Settings
from bindery.usecases import cull_sessions
from infra.local.template import load
from tests.serving.messages import check_readable

ROOT = Path(__file__).parents[2]
ADAPTER = ROOT / "layers" / "bindery" / "bindery" / "adapters" / "tables" / "dynamodb.py"
# What each call of the client has to be allowed; the others have names of their own.
TRANSACTION = {"PutItem", "DeleteItem"}

Resource = Mapping[str, Any]


class May(NamedTuple):
    """table: its policy. sends: the queues that its use case, and all that it calls, may send to. builds: policies on builds."""

    table: str
    sends: frozenset[str] = frozenset()
    builds: frozenset[str] = frozenset()


def may(table: str, *sends: str, builds: str = "") -> May:
    return May(table, frozenset(sends), frozenset(builds.split()))


RIGHTS = {
    "ServePages": may("ReadTable"),
    "StreamLaunch": may("WriteTable", "Resolve"),
    "AnswerApi": may("WriteTable", "Resolve", "Stops"),
    "ResolveRepository": may("WriteTable", "Resolve", "Builds", "Sessions", "Stops", builds="SeeBuilds SeeImages"),
    "StartBuild": may(
        "WriteTable", "Resolve", "Builds", "Sessions", "Stops", builds="StartBuilds SeeBuilds StopBuilds"
    ),
    "RecordLog": may("WriteTable"),
    # These two move launches on that wait: one may have claimed the next attempt meanwhile, and wants it started.
    "RecordBuild": may("WriteTable", "Resolve", "Builds", "Sessions", "Stops", builds="SeeBuilds"),
    "FailLaunch": may("WriteTable", "Resolve", "Builds", "Sessions", "Stops", builds="SeeBuilds"),
    "StartSession": may("WriteTable", "Resolve", "Sessions", "Stops", builds="SeeBuilds"),
    "StopSession": may("WriteTable"),
    "CullSessions": may("WriteTable", "Stops"),
    "Reconcile": may("WriteTable", "Resolve", "Builds", "Sessions", "Stops", builds="SeeBuilds StopBuilds"),
}


CLUSTER = {"If": ["OnEks", {"Ref": "EnterEks"}, {"Ref": "ReadKubeconfig"}]}


@pytest.fixture(scope="module")
def template() -> Resource:
    return load(ROOT / "template.yaml")


@pytest.fixture(scope="module")
def resources(template: Resource) -> Mapping[str, Resource]:
    found: Mapping[str, Resource] = template["Resources"]
    return found


def of_type(resources: Mapping[str, Resource], kind: str) -> dict[str, Resource]:
    return {name: found["Properties"] for name, found in resources.items() if found["Type"] == kind}


def functions(resources: Mapping[str, Resource]) -> dict[str, Resource]:
    return of_type(resources, "AWS::Serverless::Function")


def queues(resources: Mapping[str, Resource]) -> dict[str, Resource]:
    return of_type(resources, "AWS::SQS::Queue")


def test_it_passes_cfn_lint() -> None:
    command = [str(Path(sys.executable).parent / "cfn-lint"), "template.yaml"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")


def test_every_folder_of_functions_is_a_function_and_the_other_way_round(resources: Mapping[str, Resource]) -> None:
    folders = sorted(f"functions/{path.parent.name}/" for path in (ROOT / "functions").glob("*/handler.py"))
    everything = sorted(f"functions/{path.name}/" for path in (ROOT / "functions").iterdir() if path.is_dir())
    assert sorted(function["CodeUri"] for function in functions(resources).values()) == folders
    assert [folder for folder in everything if "__pycache__" not in folder] == folders


def test_a_function_is_named_as_its_folder(resources: Mapping[str, Resource]) -> None:
    for name, function in functions(resources).items():
        assert function["CodeUri"] == f"functions/{re.sub(r'(?<!^)(?=[A-Z])', '_', name).lower()}/"


def test_every_handler_is_there(resources: Mapping[str, Resource], template: Resource) -> None:
    usual = template["Globals"]["Function"]["Handler"]
    for function in functions(resources).values():
        folder = ROOT / function["CodeUri"]
        module = importlib.import_module(function["CodeUri"].strip("/").replace("/", ".") + ".handler")
        if (handler := function.get("Handler", usual)) == "handler.handler":
            assert callable(module.handler)
        else:
            assert os.access(folder / handler, os.X_OK)
            assert callable(module.app)


def test_a_message_is_hidden_for_as_long_as_its_function_may_run(
    resources: Mapping[str, Resource], template: Resource
) -> None:
    usual = template["Globals"]["Function"]["Timeout"]
    seen = set()
    for function in functions(resources).values():
        for event in function["Events"].values():
            if event["Type"] != "SQS":
                continue
            queue = event["Properties"]["Queue"]["GetAtt"].removesuffix(".Arn")
            seen.add(queue)
            assert queues(resources)[queue]["VisibilityTimeout"] >= function.get("Timeout", usual), queue
            assert event["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert seen == set(queues(resources)) - {"Unburied"}, "every queue but the last has one who reads it"


def test_a_sweep_has_time_for_its_last_answers_and_to_write_down_what_it_saw(resources: Mapping[str, Resource]) -> None:
    asking = cull_sessions.ASKING_SECONDS + activity.ANSWER_SECONDS
    assert functions(resources)["CullSessions"]["Timeout"] >= asking + 60


def test_every_queue_but_the_last_has_a_dead_letter_queue_that_exists(resources: Mapping[str, Resource]) -> None:
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


def test_no_launch_waits_for_a_dead_letter_longer_than_it_may_take(resources: Mapping[str, Resource]) -> None:
    """A message that can never be handled ends its launch before the launch's own deadline would."""
    for name in ("ResolveQueue", "SessionsQueue"):
        queue = queues(resources)[name]
        assert queue["VisibilityTimeout"] * queue["RedrivePolicy"]["maxReceiveCount"] < 600


@pytest.mark.parametrize("name", RIGHTS)
def test_a_function_may_do_what_it_does_and_no_more(resources: Mapping[str, Resource], name: str) -> None:
    granted = {policy["Ref"] for policy in functions(resources)[name]["Policies"] if policy != CLUSTER}
    assert granted == {RIGHTS[name].table, *(f"Send{queue}" for queue in RIGHTS[name].sends), *RIGHTS[name].builds}
    asks = CLUSTER in functions(resources)[name]["Policies"]
    assert asks == (name in {"StartSession", "StopSession", "Reconcile"}), "who asks the cluster, and nobody else"


def test_the_rights_of_every_function_are_known(resources: Mapping[str, Resource]) -> None:
    assert functions(resources).keys() == RIGHTS.keys()


def statements(resources: Mapping[str, Resource]) -> list[tuple[str, list[str], list[Any]]]:
    """Each statement's policy, actions and resources."""
    found = []
    for name, policy in of_type(resources, "AWS::IAM::ManagedPolicy").items():
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            actions, targets = statement["Action"], statement["Resource"]
            found.append(
                (
                    name,
                    [actions] if isinstance(actions, str) else actions,
                    targets if isinstance(targets, list) else [targets],
                )
            )
    return found


def test_no_policy_has_a_wildcard_and_none_is_unused(resources: Mapping[str, Resource]) -> None:
    used = {"EnterEks", "ReadKubeconfig"}  # by CLUSTER
    for function in functions(resources).values():
        used |= {policy["Ref"] for policy in function["Policies"] if policy != CLUSTER}
    assert used == set(of_type(resources, "AWS::IAM::ManagedPolicy"))
    for name, actions, targets in statements(resources):
        assert not [action for action in actions if "*" in action], name
        assert all(isinstance(target, dict) and "*" not in str(target) for target in targets), name


def test_who_sends_to_a_queue_can_only_send_to_that_one(resources: Mapping[str, Resource]) -> None:
    for name, actions, targets in statements(resources):
        if name.startswith("Send"):
            queue = f"{name.removeprefix('Send')}Queue"
            assert (actions, targets) == (["sqs:SendMessage"], [{"GetAtt": f"{queue}.Arn"}])
            assert queue in queues(resources)


def test_the_table_policies_allow_exactly_the_calls_that_its_adapter_makes(resources: Mapping[str, Resource]) -> None:
    calls = set(re.findall(r"self\._client\.(\w+)\(", ADAPTER.read_text()))
    names = {call: {call.title().replace("_", "")} for call in calls} | {"transact_write_items": TRANSACTION}
    needed = {f"dynamodb:{action}" for call in calls for action in names[call]}
    changes = {"dynamodb:PutItem", "dynamodb:DeleteItem"}
    allowed = {name: set(actions) for name, actions, _ in statements(resources) if name.endswith("Table")}
    assert changes < needed
    assert allowed == {"WriteTable": needed, "ReadTable": needed - changes}


def test_a_cluster_s_functions_may_look_up_this_one_or_read_this_secret(resources: Mapping[str, Resource]) -> None:
    found = {name: (actions, targets) for name, actions, targets in statements(resources)}
    assert found["EnterEks"][0] == ["eks:DescribeCluster"]
    assert found["EnterEks"][1][0]["Sub"].endswith(":${AWS::AccountId}:cluster/${EksCluster}")
    assert found["ReadKubeconfig"][0] == ["secretsmanager:GetSecretValue"]
    assert found["ReadKubeconfig"][1][0]["Sub"].endswith(":${AWS::AccountId}:secret:${KubeconfigSecret}-??????")
    conditions = {name: resources[name]["Condition"] for name in ("EnterEks", "ReadKubeconfig")}
    assert conditions == {"EnterEks": "OnEks", "ReadKubeconfig": "OnAnotherCluster"}


def test_every_variable_is_a_setting(template: Resource) -> None:
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    ours = {name.removeprefix("BINDERY_").lower() for name in variables if name.startswith("BINDERY_")}
    assert ours <= Settings.model_fields.keys()
    periods = [found["Metadata"]["LocalPeriod"] for found in template["Resources"].values() if _is_timed(found)]
    assert {period.removeprefix("BINDERY_").lower() for period in periods} <= Settings.model_fields.keys()


def _is_timed(resource: Resource) -> bool:
    return any(event["Type"] == "ScheduleV2" for event in resource["Properties"].get("Events", {}).values())


def test_every_parameter_is_used(template: Resource) -> None:
    body = str({name: template[name] for name in ("Globals", "Resources")})
    assert [
        name for name in template["Parameters"] if f"{{'Ref': '{name}'}}" not in body and f"${{{name}}}" not in body
    ] == []


def test_every_queue_that_a_message_names_has_an_address(template: Resource) -> None:
    urls = template["Globals"]["Function"]["Environment"]["Variables"]["BINDERY_QUEUE_URLS"]["Sub"]
    named = dict(re.findall(r'"(\w+)": "\$\{(\w+)\}"', urls))
    assert named == {
        queue.removesuffix("Queue").lower(): queue for queue in queues(template["Resources"]) if queue.endswith("Queue")
    }


@pytest.mark.parametrize("kind", ["INTEGRATION_FAILURE", "THROTTLED", "DEFAULT_5XX"])
def test_who_is_refused_by_the_api_itself_is_told_when_to_ask_again(template: Resource, kind: str) -> None:
    """INTEGRATION_FAILURE is what API Gateway makes of a function that Lambda throttles; it would answer 500 or 504."""
    refusal = template["Resources"]["Api"]["Properties"]["GatewayResponses"][kind]
    headers = refusal["ResponseParameters"]["Headers"]
    static = {name: value.strip("'") for name, value in headers.items()}
    assert headers == {name: f"'{value}'" for name, value in static.items()}, "an unquoted value is an expression"
    assert int(static["Retry-After"]) > 0
    assert (static["Access-Control-Allow-Origin"], static["Cache-Control"]) == ("*", "no-store")
    told = json.loads(refusal["ResponseTemplates"]["application/json"])
    assert re.fullmatch("[a-z0-9_]+", told["code"])
    check_readable(told["message"])
    assert refusal.get("StatusCode", 503) == 503
