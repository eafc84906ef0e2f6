"""Tests of an operator's sources of information: numbers from the log's lines, alarms, and the dashboard."""

import io
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from bindery.adapters.kubernetes.access import Entry
from bindery.adapters.kubernetes.api import Cluster
from bindery.domain.errors import ClusterRefused
from bindery.lambda_support.logging import logger
from bindery.web.errors.catalog import CATALOG
from tests.infra.deployed.patterns import matches
from tests.infra.deployed.recorded import Recorder
from tests.infra.deployed.rights import FUNCTIONS, RESOURCES
from tests.infra.deployed.stories import STORIES
from tests.infra.deployed.stories.acting import running
from tests.infra.deployed.system import QUEUES, Deployed, deployed

Line = Mapping[str, Any]
Numbers = list[tuple[str, float, tuple[str, ...]]]
OURS = "Bindery/${AWS::StackName}"
# Their status blames Bindery, but the repository or its host has to mend them, or no visitor waits for a repair.
HOSTS = {"HostUnreachable", "HostDown", "HostTooSlow", "HostBusy"}
THEIRS = HOSTS | {"SessionDied", "ContentUnavailable", "BuildAbandoned", "BuildStopped"}
NEVER_ENDS = {"StepUnderWay", "MetricsNotReady"}


def of_type(kind: str) -> dict[str, Mapping[str, Any]]:
    return {name: resource["Properties"] for name, resource in RESOURCES.items() if resource["Type"] == kind}


FILTERS = of_type("AWS::Logs::MetricFilter")
ALARMS = of_type("AWS::CloudWatch::Alarm")


def numbers(line: Line, group: str = "Logs") -> Numbers:
    """Return the numbers that CloudWatch makes of a line, each with its name, value and dimensions."""
    results = []
    for definition in FILTERS.values():
        if definition["LogGroupName"] == {"Ref": group} and matches(definition["FilterPattern"], line):
            (to,) = definition["MetricTransformations"]
            source = to["MetricValue"]
            value = float(line[source.removeprefix("$.")] if source.startswith("$.") else source)
            dimensions = tuple(str(line[each["Value"].removeprefix("$.")]) for each in to.get("Dimensions", []))
            results.append((to["MetricName"], value, dimensions))
    return results


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Iterator["Metrics"]:
    stream = io.StringIO()
    monkeypatch.setattr(logger().registered_handler, "stream", stream)
    with deployed(Recorder()) as deployment:
        yield Metrics(deployment, stream)


class Metrics:
    """A deployed system with its log.

    deployment: the deployed system. numbers: those that CloudWatch has made so far of all log lines of its functions.
    """

    def __init__(self, deployment: Deployed, stream: io.StringIO) -> None:
        self.deployment, self._stream = deployment, stream

    def numbers(self) -> Numbers:
        lines = [json.loads(line) for line in self._stream.getvalue().splitlines()]
        return [number for line in lines for number in numbers(line)]

    def named(self, name: str) -> list[tuple[float, tuple[str, ...]]]:
        return [(value, dimensions) for number, value, dimensions in self.numbers() if number == name]


def test_a_ready_launch_is_counted_once_with_its_seconds(metrics: Metrics) -> None:
    running(metrics.deployment)
    metrics.deployment.ports.time.advance(60)
    for _ in range(2):
        metrics.deployment.call("Reconcile", {})
    assert metrics.named("LaunchesEnded") == [(1, ("ready",))]
    assert len(metrics.named("LaunchSeconds")) == len(metrics.named("BuildSeconds")) == 1
    assert metrics.named("LaunchesFailed") == []


def test_a_failed_launch_is_counted_by_reason_and_separately_if_it_is_our_fault(metrics: Metrics) -> None:
    STORIES["a_build_fails"](metrics.deployment)
    STORIES["letters_nobody_understands"](metrics.deployment)
    metrics.deployment.call("Reconcile", {})
    assert sorted(metrics.named("LaunchesFailed")) == [(1, ("BuildFailed",)), (1, ("StepFailed",))]
    assert metrics.named("LaunchesFailedHere") == [(1, ())]
    assert metrics.named("LaunchSeconds") == []


def test_running_sessions_are_counted(metrics: Metrics) -> None:
    metrics.deployment.call("Reconcile", {})
    assert metrics.named("Sessions") == []
    running(metrics.deployment)
    metrics.deployment.call("Reconcile", {})
    assert metrics.named("Sessions") == [(1, ())]


def test_a_sweep_in_doubt_raises_an_alarm(metrics: Metrics) -> None:
    STORIES["the_network_is_ill"](metrics.deployment)
    assert metrics.named("SweepsInDoubt") == [(1, ())]


class Refused:
    """A way into a cluster that refuses all our credentials."""

    name = "the cluster"

    def entry(self) -> Entry:
        raise ClusterRefused(why="it is long over")

    def renewed(self, refused: Entry, /) -> bool:
        return False

    def moved(self, silent: Entry, /) -> bool:
        return False

    def close(self) -> None: ...


def test_refused_cluster_credentials_are_reported_without_any_launch(metrics: Metrics) -> None:
    cluster = Cluster(Refused(), "sessions")
    metrics.deployment.ports.sessions.before = lambda operation, session: [*cluster.each("Pod", "")].clear()
    metrics.deployment.call("Reconcile", {})
    assert metrics.named("ClusterRefusals") == [(1, ())]


def test_requests_refused_by_the_api_are_counted() -> None:
    assert numbers({"status": "429", "trouble": "THROTTLED"}, "AccessLogs") == [("TurnedAway", 1, ())]
    assert numbers({"status": "429", "trouble": "-"}, "AccessLogs") == []


def test_exactly_the_reasons_that_are_our_fault_count_for_the_alarm() -> None:
    counted = set(re.findall(r'\$\.reason = "(\w+)"', FILTERS["CountOurFailures"]["FilterPattern"]))
    own_failures = {kind.__name__ for kind, face in CATALOG.items() if face.status >= 500}
    assert counted == own_failures - THEIRS - NEVER_ENDS


def alarmed(alarm: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield the namespace, name and subject of each number that an alarm looks at."""
    looks = [look["MetricStat"]["Metric"] for look in alarm.get("Metrics", []) if "MetricStat" in look]
    for look in looks or [alarm]:
        of = [str(each["Value"]) for each in look.get("Dimensions", [])]
        namespace = look["Namespace"]
        yield namespace if isinstance(namespace, str) else namespace["Sub"], look["MetricName"], " ".join(of)


def test_every_metric_of_an_alarm_exists() -> None:
    available = {to["MetricName"] for definition in FILTERS.values() for to in definition["MetricTransformations"]}
    watched = {name for alarm in ALARMS.values() for namespace, name, _ in alarmed(alarm) if namespace == OURS}
    assert watched <= available
    assert {"LaunchesFailedHere", "BuildSeconds", "ClusterRefusals", "SweepsInDoubt", "TurnedAway"} <= watched


@pytest.mark.parametrize("name", ALARMS)
def test_every_alarm_has_a_description_and_a_notification(name: str) -> None:
    alarm = ALARMS[name]
    assert alarm["AlarmActions"] == [{"Ref": "Alarms"}]
    assert len(alarm["AlarmDescription"]) > 20
    assert alarm["TreatMissingData"] == "notBreaching"  # without clicks all is well


def test_every_queue_is_watched() -> None:
    waiting = {
        of for alarm in ALARMS.values() for _, name, of in alarmed(alarm) if name == "ApproximateAgeOfOldestMessage"
    }
    assert waiting == {str({"GetAtt": f"{queue}.QueueName"}) for queue in QUEUES.values() if queue.endswith("Queue")}
    assert {of for _, name, of in alarmed(ALARMS["LettersAreDead"])} == {str({"Ref": "FailLaunch"})}
    assert {of for _, name, of in alarmed(ALARMS["LettersAreUnburied"])} == {str({"GetAtt": "Unburied.QueueName"})}


def test_every_function_is_watched() -> None:
    answering = {
        name for name, function in FUNCTIONS.items() if "'Type': 'Api'" in str(function["Properties"]["Events"])
    }
    failing = {of for _, name, of in alarmed(ALARMS["WorkersFail"])}
    assert failing == {str({"Ref": name}) for name in FUNCTIONS.keys() - answering}
    throttled = {of for _, name, of in alarmed(ALARMS["ManyAreTurnedAway"]) if name == "Throttles"}
    assert throttled == {str({"Ref": name}) for name in answering}


def test_the_dashboard_shows_existing_metrics() -> None:
    body = json.loads(RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Sub"])
    available = {to["MetricName"] for definition in FILTERS.values() for to in definition["MetricTransformations"]}
    own, names = set(), set()
    for widget in body["widgets"]:
        assert widget["x"] + widget["width"] <= 24
        for namespace, name, *dimensions in (metric for metric in widget["properties"]["metrics"] if len(metric) > 1):
            names.add(name)
            if namespace == OURS:
                own.add(name)
            if "FunctionName" in dimensions:
                assert dimensions[1].strip("${}") in FUNCTIONS
            if "QueueName" in dimensions:
                assert dimensions[1].removesuffix(".QueueName}").strip("${") in QUEUES.values()
    own |= {name for name in available if f"{{{OURS}," in str(body) and f" {name}'" in json.dumps(body)}
    assert own == available - {"LaunchesFailedHere"}
    assert {"Errors", "Duration", "Throttles", "5XXError"} <= names
