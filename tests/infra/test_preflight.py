"""Tests of the preflight command. Before a deploy it reports an account's missing requirements, and the requests to
make.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from infra.preflight import __main__ as command
from infra.preflight import checks
from infra.preflight.finding import Finding, Level
from infra.preflight.stack import CEILINGS, Stack, read_parameters
from tests.infra.deployed.rights import TEMPLATE
from tests.infra.deployed.variables import resolved
from tests.serving import aws

Calls = Sequence[tuple[str, str, Mapping[str, Any] | str]]
"""Service, operation, and the answer; or the code of an error."""
MEDIUM = "Concurrently running builds for Linux/Medium environment"
DOMAIN = "binder.example.org"
ARN = f"arn:aws:acm:{aws.REGION}:123456789012:certificate/x"


def stack(**parameters: str) -> Stack:
    return Stack(aws.REGION, "aws", read_parameters([f"{name}={value}" for name, value in parameters.items()]))


@contextmanager
def clients(*calls: tuple[str, str, Mapping[str, Any] | str]) -> Iterator[checks.Clients]:
    """Provide a stub of AWS that expects exactly these calls, of each service in this order."""
    by_service = {service: aws.session().client(service) for service, _, _ in calls}  # type: ignore[call-overload]
    with ExitStack() as stubs:
        stubbed = {service: stubs.enter_context(Stubber(client)) for service, client in by_service.items()}
        for service, operation, answer in calls:
            if isinstance(answer, str):
                stubbed[service].add_client_error(operation, answer)
            else:
                stubbed[service].add_response(operation, dict(answer))
        yield lambda service: by_service[service]
        for stub in stubbed.values():
            stub.assert_no_pending_responses()


def account(limit: int, unreserved: int | None = None) -> tuple[str, str, Mapping[str, Any]]:
    limits = {
        "ConcurrentExecutions": limit,
        "UnreservedConcurrentExecutions": limit if unreserved is None else unreserved,
    }
    return ("lambda", "get_account_settings", {"AccountLimit": limits})


def quotas(values: Mapping[str, float], operation: str = "list_service_quotas") -> tuple[str, str, Mapping[str, Any]]:
    """Return a call that lists quotas.

    values: by the quota's name.
    """
    listed = [
        {"QuotaName": name, "QuotaCode": f"L-{number:08X}", "Value": value}
        for number, (name, value) in enumerate(values.items(), 1)
    ]
    return ("service-quotas", operation, {"Quotas": listed})


def found(check: Any, parameters: Stack, *calls: tuple[str, str, Mapping[str, Any] | str]) -> list[Finding]:
    with clients(*calls) as answers:
        return list(check(parameters, answers))


def test_a_new_account_cannot_reserve_watchers_and_gets_the_request_command() -> None:
    change, note = found(checks.concurrency, stack(), account(10), quotas({"Other": 1, "Concurrent executions": 10}))
    assert (change.level, note.level) == (Level.CHANGE, Level.NOTE)
    assert "WatchersAtOnce=0" in change.words
    for word in ("--service-code lambda", "--quota-code L-00000002", "--desired-value 1000", f"--region {aws.REGION}"):
        assert word in change.command


def test_without_watchers_a_new_account_gets_a_note_only() -> None:
    lowest = dict.fromkeys(CEILINGS, "2")
    (note,) = found(
        checks.concurrency, stack(WatchersAtOnce="0", **lowest), account(10), quotas({"Concurrent executions": 10})
    )
    assert note.level is Level.NOTE
    assert "Lower ResolvesAtOnce" in note.words


def test_the_defaults_fit_the_usual_concurrency_limit() -> None:
    """Enough is left for the functions that answer people."""
    (ok,) = found(checks.concurrency, stack(), account(1000))
    assert ok.level is Level.OK
    (note,) = found(
        checks.concurrency, stack(SessionStartsAtOnce="900"), account(1000), quotas({"Concurrent executions": 1000})
    )
    assert note.level is Level.NOTE
    assert "--desired-value 1295" in note.command


def test_concurrency_reserved_by_other_functions_counts() -> None:
    (change,) = found(checks.concurrency, stack(), account(1000, 250), quotas({"Concurrent executions": 1000}))
    assert change.level is Level.CHANGE


def test_every_concurrency_limit_of_the_template_counts() -> None:
    functions = [
        resource for resource in TEMPLATE["Resources"].values() if resource["Type"] == "AWS::Serverless::Function"
    ]
    scaled = [
        event["Properties"]["ScalingConfig"]["MaximumConcurrency"]["Ref"]
        for function in functions
        for event in function["Properties"]["Events"].values()
        if event["Type"] == "SQS"
    ]
    assert sorted(scaled) == sorted(CEILINGS)


@pytest.mark.parametrize(
    ("value", "slots", "level"),
    [(0, "1", Level.CHANGE), (1, "1", Level.OK), (1, "2", Level.CHANGE), (20, "2", Level.OK)],
)
def test_the_codebuild_quota_must_cover_the_build_slots(value: float, slots: str, level: Level) -> None:
    listed = quotas({"Build projects": 5000, MEDIUM: value})
    calls = [listed] if level is Level.OK else [listed, listed]
    (finding,) = found(checks.builds, stack(BuildSlots=slots), *calls)
    assert finding.level is level
    if level is Level.CHANGE:
        assert f"--service-code codebuild --quota-code L-00000002 --desired-value {slots} " in finding.command


def test_the_quota_is_that_of_the_configured_build_machine() -> None:
    large = MEDIUM.replace("Medium", "Large")
    (ok,) = found(checks.builds, stack(BuildMachine="BUILD_GENERAL1_LARGE"), quotas({MEDIUM: 0, large: 3}))
    assert "Linux/Large" in ok.about
    assert sorted(checks.MACHINES) == sorted(TEMPLATE["Parameters"]["BuildMachine"]["AllowedValues"])


def test_a_quota_without_a_changed_value_has_the_default_of_aws() -> None:
    default = quotas({MEDIUM: 1}, "list_aws_default_service_quotas")
    (ok,) = found(checks.builds, stack(), quotas({}), default)
    assert ok.level is Level.OK
    (note,) = found(checks.builds, stack(), quotas({}), quotas({}, "list_aws_default_service_quotas"))
    assert note.level is Level.NOTE


def test_a_region_without_the_adapter_layer_is_reported() -> None:
    (change,) = found(checks.adapter, stack(), ("lambda", "get_layer_version_by_arn", "AccessDeniedException"))
    assert change.level is Level.CHANGE
    assert "WebAdapterLayer" in change.words
    (ok,) = found(checks.adapter, stack(), ("lambda", "get_layer_version_by_arn", {"Version": 27}))
    assert ok.level is Level.OK


@pytest.mark.parametrize("parameters", [{}, {"Architecture": "arm64"}, {"WebAdapterLayer": "arn:x:layer:y:1"}])
def test_the_checked_layer_is_that_of_the_template(parameters: dict[str, str]) -> None:
    layers = TEMPLATE["Resources"]["StreamLaunch"]["Properties"]["Layers"]
    (layer,) = [str(resolved(each, parameters)) for each in layers]
    there = layer.replace("${AWS::Partition}", "aws").replace("${AWS::Region}", aws.REGION)
    assert stack(**parameters).adapter_layer == there


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        ({"Status": "ISSUED", "DomainName": DOMAIN}, Level.OK),
        ({"Status": "ISSUED", "DomainName": "example.org", "SubjectAlternativeNames": ["*.example.org"]}, Level.OK),
        ({"Status": "ISSUED", "DomainName": "*.binder.example.org"}, Level.CHANGE),
        ({"Status": "PENDING_VALIDATION", "DomainName": DOMAIN}, Level.CHANGE),
        (None, Level.CHANGE),
    ],
)
def test_a_domain_needs_an_issued_certificate_for_its_name(answer: dict[str, Any] | None, level: Level) -> None:
    response = {"Certificate": answer} if answer else "ResourceNotFoundException"
    parameters = stack(DomainName=DOMAIN, CertificateArn=ARN)
    (finding,) = found(checks.certificate, parameters, ("acm", "describe_certificate", response))
    assert finding.level is level


@pytest.mark.parametrize("arn", ["", ARN.replace(aws.REGION, "us-east-1"), "no ARN"])
def test_a_certificate_of_another_region_is_reported(arn: str) -> None:
    (finding,) = found(checks.certificate, stack(DomainName=DOMAIN, CertificateArn=arn))
    assert finding.level is Level.CHANGE
    assert f"request-certificate --domain-name {DOMAIN}" in finding.command


def test_without_a_domain_no_certificate_is_needed() -> None:
    assert found(checks.certificate, stack()) == []


@pytest.mark.parametrize(
    ("role", "parameter", "level"),
    [
        ("", "make", Level.OK),
        ("arn:x", "make", Level.CHANGE),
        ("", "there", Level.CHANGE),
        ("arn:x", "there", Level.OK),
    ],
)
def test_an_access_log_role_in_use_is_not_replaced(role: str, parameter: str, level: Level) -> None:
    answer = {"cloudwatchRoleArn": role} if role else {}
    (finding,) = found(checks.access_log, stack(AccessLogRole=parameter), ("apigateway", "get_account", answer))
    assert finding.level is level


def test_a_check_without_permission_gives_a_note_and_others_run() -> None:
    denied = "AccessDeniedException"
    calls: Calls = [
        ("lambda", "get_account_settings", denied),
        ("lambda", "get_layer_version_by_arn", {"Version": 27}),
        ("service-quotas", "list_service_quotas", denied),
        ("apigateway", "get_account", {}),
    ]
    findings = found(checks.findings, stack(), *calls)
    assert [finding.level for finding in findings] == [Level.NOTE, Level.NOTE, Level.OK, Level.OK, Level.NOTE]
    assert denied in findings[0].words


def test_without_a_network_findings_are_marked_as_not_checked() -> None:
    def no_client(service: str) -> object:
        raise EndpointConnectionError(endpoint_url="https://example")

    findings = list(checks.findings(stack(), no_client))
    assert all("not checked" in finding.words for finding in findings[:-1])


def test_the_command_prints_each_finding_and_fails_if_changes_are_required(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = [account(10), quotas({"Concurrent executions": 10}), quotas({MEDIUM: 1})]
    more: Calls = [("lambda", "get_layer_version_by_arn", {"Version": 27}), ("apigateway", "get_account", {})]
    with clients(*calls, *more) as answers:
        monkeypatch.setattr(boto3.Session, "client", lambda _session, service: answers(service))
        monkeypatch.setattr(boto3.Session, "get_credentials", lambda _session: object())
        assert command.main(["--region", aws.REGION]) == 1
    printed = capsys.readouterr().out
    assert "change Lambda, 10 concurrent executions: WatchersAtOnce=200 cannot be reserved" in printed
    assert "ok     CodeBuild, Linux/Medium: the quota is 1, BuildSlots=1." in printed
    assert "request-service-quota-increase --service-code lambda" in printed


def test_without_credentials_the_command_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(boto3.Session, "get_credentials", lambda _session: None)
    assert command.main(["--region", aws.REGION]) == 2
    assert capsys.readouterr().out.startswith("There are no AWS credentials")


@pytest.mark.parametrize("word", ["NoParameter=1", "WatchersAtOnce", "="])
def test_an_invalid_parameter_is_refused(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--region", aws.REGION, word]) == 2
    assert "Name=value" in capsys.readouterr().out
