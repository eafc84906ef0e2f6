"""Tests of the template's parts that the local runtime understands, and of those that it refuses."""

import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from bindery.domain.messages import ResolveRequested
from bindery_local.aws_events import path_of
from bindery_local.memory_queue import MemoryQueues
from bindery_local.template import Function, Queue, Refusal, Route, System, Timer, load, read
from bindery_local.workers import MOST_RECEIVES, Workers
from tests.fakes.clock import FakeClock

NOTHING = """
Globals: {Function: {Environment: {Variables: {%s}}}}
Parameters: {Limit: {Type: Number, Default: 7}, Empty: {Type: String}}
Resources: {%s}
"""
TIMED = """F: {Type: AWS::Serverless::Function, %s Properties: {CodeUri: functions/f/, Events: {
    T: {Type: ScheduleV2, Properties: {ScheduleExpression: %s}}}}}"""
SOMETHING = Function("F", "functions.f.handler", streams=False)


def system(tmp_path: Path, resources: str, variables: str = "") -> System:
    file = tmp_path / "template.yaml"
    file.write_text(NOTHING % (variables, resources))
    return read(file)


@pytest.mark.parametrize(
    ("rate", "seconds"),
    [("rate(1 second)", 1), ("rate(5 minutes)", 300), ("rate(1 minute)", 60), ("rate(2 hours)", 7200)],
)
def test_a_rate_is_converted_to_seconds(tmp_path: Path, rate: str, seconds: float) -> None:
    (timer,) = system(tmp_path, TIMED % ("", rate)).timers
    assert (timer.seconds, timer.period_variable, timer.function.module) == (seconds, "", "functions.f.handler")


@pytest.mark.parametrize("rate", ["cron(0 12 * * ? *)", "rate(1 fortnight)", "rate(1.5 hours)", "at(2030-01-01T00:00)"])
def test_an_unsupported_schedule_fails_the_start_with_its_text(tmp_path: Path, rate: str) -> None:
    with pytest.raises(ValueError, match="not understood") as refused:
        system(tmp_path, TIMED % ("", f'"{rate}"'))
    assert rate in str(refused.value)


def test_metadata_names_the_local_variable_for_the_period(tmp_path: Path) -> None:
    (timer,) = system(tmp_path, TIMED % ("Metadata: {LocalPeriod: BINDERY_CULL_SECONDS},", "rate(1 minute)")).timers
    assert timer.period_variable == "BINDERY_CULL_SECONDS"


STREAMING = """
F: {Type: AWS::Serverless::Function, Properties: {CodeUri: functions/f/, ReservedConcurrentExecutions: %s,
    Events: {T: {Type: Api, Properties: {Path: /f, Method: GET}}}}}"""
BUSY = """
A: {Type: AWS::Serverless::Api, Properties: {GatewayResponses: {INTEGRATION_FAILURE: {StatusCode: 503,
    ResponseParameters: {Headers: {Retry-After: "'5'"}}, ResponseTemplates: {application/json: "{}"}}}}}"""


@pytest.mark.parametrize(("reserved", "at_once"), [("!Ref Limit", 7), ("3", 3), ("0", 0)])
def test_a_function_has_its_reserved_concurrency(tmp_path: Path, reserved: str, at_once: int) -> None:
    (route,) = system(tmp_path, (STREAMING % reserved).strip()).routes
    assert route.function.at_once == at_once


def test_calls_beyond_the_concurrency_get_the_refusal_of_the_template(tmp_path: Path) -> None:
    assert system(tmp_path, BUSY.strip()).busy == Refusal(503, {"Retry-After": "5"}, "{}")
    assert system(tmp_path, "A: {Type: AWS::Serverless::Api, Properties: {}}").busy.status == 500


@pytest.mark.parametrize(
    ("route", "method", "path", "goes"),
    [
        ("GET /v2/{proxy+}", "GET", "/v2/gh/o/r/HEAD", True),
        ("GET /v2/{proxy+}", "GET", "/v2/git/https%3A%2F%2Fx/HEAD", True),
        ("GET /v2/{proxy+}", "GET", "/v2/", False),
        ("GET /v2/{proxy+}", "GET", "/v2", False),
        ("GET /v2/{proxy+}", "GET", "/v2x/y", False),
        ("GET /v2/{proxy+}", "POST", "/v2/gh/o/r/HEAD", False),
        ("GET /badge.svg", "GET", "/badge.svg", True),
        ("GET /badge.svg", "GET", "/badge-svg", False),
        ("GET /badge.svg", "GET", "/badge.svg/", False),
        ("GET /", "GET", "/", True),
        ("GET /", "GET", "", False),
        ("ANY /api/{proxy+}", "DELETE", "/api/launches/x", True),
        ("ANY /api/{proxy+}", "BREW", "/api/launches", True),
    ],
)
def test_a_route_matches_as_in_api_gateway(route: str, method: str, path: str, goes: bool) -> None:
    allowed, _, pattern = route.partition(" ")
    assert Route(allowed, pattern, SOMETHING).matches(method, path) is goes


def test_variables_come_from_parameters_without_values_of_aws_only(tmp_path: Path) -> None:
    variables = "A: plain, B: 3, C: !Ref Limit, D: !Ref Empty, E: !Ref Table, F: !Sub '${Table}', G: !GetAtt Table.Arn"
    assert system(tmp_path, "", variables).environment == {"A": "plain", "B": "3", "C": "7", "D": ""}


def test_queues_have_the_names_that_messages_use(tmp_path: Path) -> None:
    redrive = "RedrivePolicy: {deadLetterTargetArn: !GetAtt DeadLetters.Arn, maxReceiveCount: 5}"
    queues = f"""
        ResolveQueue: {{Type: AWS::SQS::Queue, Properties: {{VisibilityTimeout: 9, {redrive}}}}},
        DeadLetters: {{Type: AWS::SQS::Queue, Properties: {{}}}}
    """
    resolve, dead = system(tmp_path, queues).queues
    assert (resolve.name, resolve.visibility_seconds, resolve.dead_letter) == ("resolve", 9, dead.name)
    assert resolve.max_receive_count == 5
    assert dead.dead_letter is None


@pytest.mark.parametrize(("allowed", "received"), [(20, MOST_RECEIVES), (2, 2)])
def test_local_queues_limit_the_receives_of_a_message(allowed: int, received: int) -> None:
    """On AWS a receive may be one that no function could take; here there are no such receives."""
    clock = FakeClock()
    queues = MemoryQueues(elapsed=clock.now, now=clock.now)
    Workers(System((), (Queue("resolve", 1, allowed, "dead"), Queue("dead", 1, 1, None)), {}, (), {}), queues, {})
    queues.send(ResolveRequested(launch="l", step=1))
    counts = []
    while deliveries := queues.receive("resolve"):
        counts += [delivery.receive_count for delivery in deliveries]
        clock.advance(2)
    assert counts == list(range(1, received + 1))
    assert queues.receive("dead")
    queues.close()


def test_a_short_tag_is_loaded_with_its_value(tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    file.write_text("{a: !Ref X, b: !GetAtt X.Arn, c: !Join ['', [a, !Ref B]], d: !X {y: 1}}")
    assert load(file) == {
        "a": {"Ref": "X"},
        "b": {"GetAtt": "X.Arn"},
        "c": {"Join": ["", ["a", {"Ref": "B"}]]},
        "d": {"X": {"y": 1}},
    }


def test_a_template_cannot_run_code(tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    file.write_text("a: !!python/object/apply:os.getcwd []")
    with pytest.raises(yaml.constructor.ConstructorError):
        load(file)


class Ticking(ModuleType):
    """A function's module for a timer. Its calls are counted, and raise."""

    def __init__(self) -> None:
        super().__init__("tests_ticking")
        self.calls = 0
        self.thrice = threading.Event()

    def handler(self, event: Mapping[str, object], context: object) -> None:
        self.calls += 1
        if self.calls == 3:
            self.thrice.set()
        raise RuntimeError("as a bug would")


@pytest.mark.parametrize(("variable", "rate"), [("BINDERY_CULL_SECONDS", 3600.0), ("", 0.01), ("BINDERY_OTHER", 0.01)])
def test_a_timer_uses_its_setting_or_its_rate_and_survives_failures(
    monkeypatch: pytest.MonkeyPatch, variable: str, rate: float
) -> None:
    ticking = Ticking()
    monkeypatch.setitem(sys.modules, "tests_ticking", ticking)
    timer = Timer(Function("Ticking", "tests_ticking", streams=False), rate, variable)
    workers = Workers(System((), (), {}, (timer,), {}), MemoryQueues(), {"BINDERY_CULL_SECONDS": 0.01})
    workers.start()
    assert ticking.thrice.wait(10)
    workers.close()
    workers.join(5)
    assert not any(thread.is_alive() for thread in workers.threads)


@pytest.mark.parametrize("path", ["//v2/gh/o/r/HEAD", "///v2/gh/o/r/HEAD", "/v2/gh/o/r/HEAD?x=//y"])
def test_repeated_slashes_at_the_start_of_a_path_become_one(path: str) -> None:
    assert path_of({"raw_path": path.encode()}) == "/v2/gh/o/r/HEAD"
