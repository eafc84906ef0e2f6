"""The built template, deployed on the emulator with `sam deploy`, and ways to reach its resources."""

import json
import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from bindery_local.template import load
from tests.infra.deployed.rights import writable_keys
from tests.serving.aws_gate import AwsGate
from tests.serving.lambda_function import Package, web_function
from tests.serving.ministack import ACCOUNT, KEY, Ministack
from tests.serving.packages import BUILT, ROOT
from tests.serving.rest_event import rest_event
from tests.serving.runtime import PATIENCE_SECONDS, STREAM, Stream
from tests.serving.runtime_api import RuntimeApi

STACK, BUCKET = "bindery", "artifacts"
STAGE = "live"


@dataclass(frozen=True)
class Deployed:
    """A deployed stack. resources: physical ids by the template's names."""

    emulator: Ministack
    gate: AwsGate
    resources: Mapping[str, str]

    @property
    def api(self) -> str:
        """Return the REST API's address."""
        return f"{self.emulator.address}/_aws/execute-api/{self.resources['Api']}/{STAGE}"

    def ask(self, path: str, method: str = "GET", **more: Any) -> httpx.Response:
        """Send a request through a route of the REST API."""
        with httpx.Client(trust_env=False, timeout=60) as client:
            return client.request(method, f"{self.api}{path}", **more)

    def variables(self, function: str) -> dict[str, str]:
        """Return a function's environment, as the template gives it."""
        configuration = self.emulator.client("lambda").get_function_configuration(FunctionName=self.resources[function])
        return dict(configuration["Environment"]["Variables"])

    def happened(self, source: str, kind: str, detail: Mapping[str, object]) -> None:
        """Deliver an event of AWS's own to the targets of the rules that it fits. Raise AssertionError on a failure.

        Only AWS itself may send such an event.
        """
        events, functions = self.emulator.client("events"), self.emulator.client("lambda")
        place = {"account": ACCOUNT, "region": KEY["AWS_DEFAULT_REGION"], "resources": [], "version": "0", "id": "1"}
        event = json.dumps(
            {**place, "time": "2026-01-01T00:00:00Z", "source": source, "detail-type": kind, "detail": detail}
        )
        rules = [each for each in events.list_rules()["Rules"] if "EventPattern" in each]
        fitting = [
            each
            for each in rules
            if events.test_event_pattern(EventPattern=each["EventPattern"], Event=event)["Result"]
        ]
        assert fitting, rules
        for rule in fitting:
            for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]:
                answer = functions.invoke(FunctionName=target["Arn"], Payload=event.encode())
                assert "FunctionError" not in answer, answer["Payload"].read()

    @cached_property
    def streaming_keys(self) -> dict[str, str]:
        """Return credentials for `stream_launch`: the emulator does not run it, so it needs its own."""
        return self.keys("StreamLaunch")

    def keys(self, function: str) -> dict[str, str]:
        """Return credentials of a function's role."""
        role = self.emulator.client("lambda").get_function_configuration(FunctionName=self.resources[function])["Role"]
        credentials = self.emulator.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        self.gate.writable[credentials["AccessKeyId"]] = writable_keys(function)
        return {
            "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
            "AWS_SESSION_TOKEN": credentials["SessionToken"],
        }

    def put(self, queue: str, message: Mapping[str, object]) -> None:
        """Send any message."""
        self.emulator.client("sqs").send_message(QueueUrl=self.resources[queue], MessageBody=json.dumps(message))

    def set_patience(self, queue: str, seconds: int, receives: int) -> None:
        """Set how long a failed message is hidden, and how often it is received before it is a dead letter."""
        queues, url = self.emulator.client("sqs"), self.resources[queue]
        stored = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]
        redrive = json.dumps({**json.loads(stored["RedrivePolicy"]), "maxReceiveCount": receives})
        queues.set_queue_attributes(
            QueueUrl=url, Attributes={"VisibilityTimeout": str(seconds), "RedrivePolicy": redrive}
        )

    def log(self, group: str, line: str) -> None:
        """Write a line into a log group, as a build does."""
        logs, stream = self.emulator.client("logs"), f"build/{time.time_ns()}"
        place = {"logGroupName": self.resources[group], "logStreamName": stream}
        logs.create_log_stream(**place)
        logs.put_log_events(**place, logEvents=[{"timestamp": time.time_ns() // 1_000_000, "message": line}])

    def aws_calls(self) -> Counter[tuple[str, str]]:
        """Return how often each function has made each call to AWS so far."""
        functions = self.emulator.client("lambda").list_functions()["Functions"]
        names = {physical: name for name, physical in self.resources.items()}
        keys = {_key(each): names[each["FunctionName"]] for each in functions} | {
            self.streaming_keys["AWS_ACCESS_KEY_ID"]: "StreamLaunch"
        }
        return Counter({(keys.get(key, key), action): count for (key, action), count in self.gate.calls.items()})

    def waiting(self, queue: str) -> int:
        """Count the messages in a queue, hidden ones included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.emulator.client("sqs").get_queue_attributes(
            QueueUrl=self.resources[queue], AttributeNames=names
        )
        return sum(int(count) for count in attributes["Attributes"].values())

    @contextmanager
    def streaming(self, python: Path, adapter: Path) -> Iterator["Streaming"]:
        """Run `stream_launch` from its package, in an instance as Lambda's, with its own environment and role."""
        about = self.emulator.client("lambda").get_function_configuration(FunctionName=self.resources["StreamLaunch"])
        variables = {**about["Environment"]["Variables"], **self.streaming_keys, "AWS_ENDPOINT_URL": self.gate.url}
        layer = tuple((BUILT / "Library" / "python").iterdir())
        package = Package(BUILT / "StreamLaunch", about["Handler"], layer, python, variables)
        place = self.emulator.folder / "stream_launch"
        with RuntimeApi() as api, web_function(package, place, api, adapter):
            yield Streaming(api)


@dataclass(frozen=True)
class Streaming:
    """The instance behind the Web Adapter. api: the source of its requests; it hands out one at a time, as Lambda does."""

    api: RuntimeApi

    def stream(self, path: str, token: str = "", seconds: float = PATIENCE_SECONDS) -> Stream:
        """Open a launch's stream. The route passes the request and the answer on. path: such as `/build/gh/o/r/HEAD`."""
        target = f"{path}?{urlencode({'build_token': token})}" if token else path
        return Stream(self.api.invoke(rest_event(target, headers=STREAM)), time.monotonic() + seconds)


def deploy(emulator: Ministack, gate: AwsGate, settings: Mapping[str, str]) -> Deployed:
    """Deploy the template as an operator does. Raise AssertionError with sam's own words.

    settings: `idle_seconds` is given as the parameter `IdleSeconds`. A setting without a parameter is set on every function.
    """
    declared = load(BUILT / "template.yaml")["Parameters"]
    parameters = {_parameter(name): value for name, value in settings.items() if _parameter(name) in declared}
    emulator.client("s3").create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": KEY["AWS_DEFAULT_REGION"]}
    )
    quiet = {"SAM_CLI_TELEMETRY": "0", "__SAM_CLI_APP_DIR": str(ROOT / ".cache" / "sam" / "app")}
    around = {**os.environ, **KEY, **quiet, "SAM_CLI_POLL_DELAY": "1", "AWS_ENDPOINT_URL": emulator.address}
    words = [f"{name}={value}" for name, value in parameters.items()]
    command = [f"{ROOT}/.cache/sam/bin/sam", "deploy", "--template-file", str(_without_sums())]
    where = ["--stack-name", STACK, "--s3-bucket", BUCKET, "--capabilities", "CAPABILITY_IAM", "--no-progressbar"]
    done = subprocess.run(
        [*command, *where, "--parameter-overrides", *words], cwd=ROOT, env=around, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}{done.stderr[-3000:]}{emulator.log.read_text()[-2000:]}"
    stack_resources = emulator.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
    resources = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in stack_resources}
    deployed = Deployed(emulator, gate, resources)
    names = {physical: name for name, physical in resources.items()}
    for each in emulator.client("lambda").list_functions()["Functions"]:
        gate.writable[_key(each)] = writable_keys(names[each["FunctionName"]])
    _set(deployed, {name: value for name, value in settings.items() if _parameter(name) not in declared})
    _count_in_numbers(deployed)
    _let_batches_be_sent(deployed)
    _route_any_method(deployed, "/api/{proxy+}", "AnswerApi")
    _let_every_line_pass(deployed, "BuildLogs")
    return deployed


def _parameter(setting: str) -> str:
    return setting.title().replace("_", "")


def _set(deployed: Deployed, settings: Mapping[str, str]) -> None:
    """Set the variables on every function, regardless of the template's values."""
    functions = deployed.emulator.client("lambda")
    more = {f"BINDERY_{name.upper()}": value for name, value in settings.items()}
    for each in functions.list_functions()["Functions"]:
        together = {"Variables": {**each["Environment"]["Variables"], **more}}
        functions.update_function_configuration(FunctionName=each["FunctionName"], Environment=together)


def _count_in_numbers(deployed: Deployed) -> None:
    """Set how many functions of a queue run at once. The emulator keeps a parameter's text; AWS makes it a number."""
    functions = deployed.emulator.client("lambda")
    for each in functions.list_event_source_mappings()["EventSourceMappings"]:
        if most := each.get("ScalingConfig", {}).get("MaximumConcurrency"):
            functions.update_event_source_mapping(UUID=each["UUID"], ScalingConfig={"MaximumConcurrency": int(most)})


def _let_batches_be_sent(deployed: Deployed) -> None:
    """Allow each role that sends messages to send batches of them: on AWS `sqs:SendMessage` covers both."""
    roles = deployed.emulator.client("iam")
    for role in (each["RoleName"] for each in roles.list_roles()["Roles"]):
        for policy in roles.list_role_policies(RoleName=role)["PolicyNames"]:
            text = json.dumps(roles.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"])
            both = text.replace('"sqs:SendMessage"', '"sqs:SendMessage*"')
            if both != text:
                roles.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=both)


def _route_any_method(deployed: Deployed, path: str, function: str) -> None:
    """Add the route for any method: the emulator omits `x-amazon-apigateway-any-method` when it reads an API's description."""
    gateway, api = deployed.emulator.client("apigateway"), deployed.resources["Api"]
    (resource,) = [each for each in gateway.get_resources(restApiId=api, limit=500)["items"] if each["path"] == path]
    place = {"restApiId": api, "resourceId": resource["id"], "httpMethod": "ANY"}
    region, name = KEY["AWS_DEFAULT_REGION"], deployed.resources[function]
    target = f"arn:aws:lambda:{region}:{ACCOUNT}:function:{name}"
    uri = f"arn:aws:apigateway:{region}:lambda:path/2015-03-31/functions/{target}/invocations"
    gateway.put_method(**place, authorizationType="NONE")
    gateway.put_integration(**place, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    gateway.create_deployment(restApiId=api, stageName=STAGE)


def _let_every_line_pass(deployed: Deployed, group: str) -> None:
    """Replace the log subscription's filter by one that passes every line.

    The emulator takes a filter on JSON for a list of words that a line has to contain.
    """
    logs, name = deployed.emulator.client("logs"), deployed.resources[group]
    (subscription,) = logs.describe_subscription_filters(logGroupName=name)["subscriptionFilters"]
    same = {key: subscription[key] for key in ("logGroupName", "filterName", "destinationArn")}
    logs.put_subscription_filter(**same, filterPattern="")


def _key(function: Mapping[str, Any]) -> str:
    """Return the access key that the emulator gives a function."""
    identity = f"{function['FunctionArn']}:{function['Role']}"
    return f"ASIA{sha256(identity.encode()).hexdigest()[:16].upper()}"


def _without_sums() -> Path:
    """Return a copy of the built template without the alarms on sums of several metrics, which the emulator refuses."""
    text = (BUILT / "template.yaml").read_text()
    parts = re.split(r"(?m)^(?=  \w+:)", text)
    remaining = [part for part in parts if "AWS::CloudWatch::Alarm" not in part or "\n      Metrics:" not in part]
    assert len(parts) - len(remaining) == text.count("\n      Metrics:") > 0
    there = BUILT / "for-the-emulator.yaml"
    there.write_text("".join(remaining))
    return there
