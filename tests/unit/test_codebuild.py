"""The meaning of CodeBuild's answers and events, and the requests sent to it; ECR's answers come from moto."""

import base64
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.stub import Stubber
from moto import mock_aws

from bindery.adapters.aws.codebuild import CodeBuild
from bindery.adapters.aws.codebuild_report import changed, report_of
from bindery.adapters.aws.ecr import EcrRegistry
from bindery.adapters.builder_version import REPO2DOCKER, engine_name
from bindery.domain.builds import BuildOrder, BuildReport, BuildState
from bindery.domain.errors import BuildServiceDown, BuildsRefused
from bindery.domain.failure import Failure
from bindery.domain.launch import Stage
from bindery.domain.messages import BuildChanged
from bindery_local.aws_events import Context
from functions.record_build import handler
from tests.building import ordered
from tests.fakes.in_memory_system import InMemorySystem
from tests.serving.aws import config, session

REGISTRY = "https://123456789012.dkr.ecr.eu-central-1.amazonaws.com/bindery"
HANDLE = "bindery:8745a7a9-c340-456a-9166-edf953571bee"
FAILURE = Failure(kind="BuildFailed", facts={"step": "RUN x", "why": "exit status 1"})


def built(status: str, *phases: tuple[str, str, str], minutes: int = 34, **exported: str) -> BuildReport:
    """Return the report of a build that CodeBuild describes with this status and these phases."""
    described = [
        {"phaseType": name, "phaseStatus": end, "contexts": [{"message": words}]} for name, end, words in phases
    ]
    variables = [{"name": f"BINDERY_{name}", "value": value} for name, value in exported.items()]
    build = {
        "buildStatus": status,
        "phases": described,
        "exportedEnvironmentVariables": variables,
        "timeoutInMinutes": minutes,
    }
    return report_of(cast("Any", build))


def failed(kind: str, **facts: str | int) -> BuildReport:
    return BuildReport(BuildState.FAILED, failure=Failure(kind=kind, facts=facts))


def test_a_succeeded_build_reports_its_image() -> None:
    assert built("SUCCEEDED", IMAGE="x@sha256:1") == BuildReport(BuildState.SUCCEEDED, image="x@sha256:1")
    assert built("SUCCEEDED").state is BuildState.FAILED
    assert built("IN_PROGRESS", IMAGE="x@sha256:1") == BuildReport(BuildState.RUNNING)
    assert built("FAILED", IMAGE="x@sha256:1").state is BuildState.FAILED


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED"])
def test_a_failure_of_the_builder_is_reported_for_any_build_status(status: str) -> None:
    assert built(status, FAILURE=FAILURE.model_dump_json()) == BuildReport(BuildState.FAILED, failure=FAILURE)


def test_a_succeeded_build_without_an_outcome_is_a_fault_of_the_service() -> None:
    assert built("SUCCEEDED") == failed("BuildServiceDown", why="CodeBuild ended at UNKNOWN: SUCCEEDED")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kind": "Exception"}', '{"kind": "Fact"}', '{"kind": "__name__"}'])
def test_an_invalid_failure_text_is_not_read_as_a_failure(text: str) -> None:
    phase = ("BUILD", "FAILED", "Error while executing command")
    why = "CodeBuild ended at BUILD: Error while executing command"
    assert built("FAILED", phase, FAILURE=text) == failed("BuildServiceDown", why=why)


@pytest.mark.parametrize("status", ["FAILED", "FAULT", "TIMED_OUT"])
def test_a_build_that_ended_before_its_builder_is_a_fault_of_the_service(status: str) -> None:
    phases = [("SUBMITTED", "SUCCEEDED", ""), ("PROVISIONING", status, "no machine\nof that kind")]
    assert built(status, *phases) == failed(
        "BuildServiceDown", why="CodeBuild ended at PROVISIONING: no machine of that kind"
    )


def test_a_build_over_its_limit_reports_that_limit() -> None:
    assert built("TIMED_OUT", ("BUILD", "TIMED_OUT", ""), minutes=34) == failed("BuildTooLong", minutes=30)


def test_a_stopped_build_is_reported_as_stopped() -> None:
    stopped = failed("BuildFailed", step="build", why="it was stopped")
    assert built("STOPPED", ("BUILD", "STOPPED", ""), FAILURE=FAILURE.model_dump_json()) == stopped


def event(**variables: str) -> dict[str, Any]:
    """Return an event as AWS shows it: docs.aws.amazon.com/codebuild/latest/userguide/sample-build-notifications.html."""
    build = "arn:aws:codebuild:us-west-2:123456789012:build/my-sample-project:8745a7a9-c340-456a-9166-edf953571bEX"
    exported = [{"name": name, "type": "PLAINTEXT", "value": value} for name, value in variables.items()]
    return {
        "build-status": "SUCCEEDED",
        "project-name": "my-sample-project",
        "build-id": build,
        "additional-information": {
            "artifact": {"md5sum": "da9c44c8a9a3cd4b443126e823168fEX", "location": ""},
            "environment": {
                "image": "aws/codebuild/standard:5.0",
                "privileged-mode": True,
                "compute-type": "BUILD_GENERAL1_SMALL",
                "type": "LINUX_CONTAINER",
                "environment-variables": exported,
            },
            "timeout-in-minutes": 60,
            "build-complete": True,
            "initiator": "MyCodeBuildDemoUser",
            "build-start-time": "Sep 1, 2017 4:12:29 PM",
            "source": {"type": "NO_SOURCE"},
            "phases": [{"phase-type": "COMPLETED", "start-time": "Sep 1, 2017 4:14:21 PM"}],
        },
        "current-phase": "COMPLETED",
        "current-phase-context": "[]",
        "version": "1",
    }


def test_a_codebuild_event_names_the_attempt_by_its_variables() -> None:
    detail = event(OTHER="x", BINDERY_ENVIRONMENT="abc", BINDERY_ATTEMPT="7")
    assert changed(detail) == BuildChanged(environment="abc", attempt=7)


def test_the_function_passes_on_the_attempt_of_the_event(monkeypatch: pytest.MonkeyPatch) -> None:
    changes: list[BuildChanged] = []
    monkeypatch.setattr(handler, "system", lambda: SimpleNamespace(record_build=changes.append))
    detail = event(BINDERY_ENVIRONMENT="abc", BINDERY_ATTEMPT="7")
    about = {"source": "aws.codebuild", "detail-type": "CodeBuild Build State Change"}
    handler.handler({**about, "detail": detail}, cast("Any", Context("record_build")))
    assert changes == [BuildChanged(environment="abc", attempt=7)]


def test_an_event_of_the_local_runtime_names_its_attempt() -> None:
    assert changed({"environment": "abc", "attempt": 7, "version": 1}) == BuildChanged(environment="abc", attempt=7)


def test_an_event_without_an_attempt_is_refused() -> None:
    with pytest.raises(KeyError):
        changed(event(OTHER="x"))


class Refusing:
    """A CodeBuild client with failing requests."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        def refuse(**_: object) -> None:
            raise self._error

        return refuse


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "told so"}}, "Call")


def service(client: object) -> CodeBuild:
    return CodeBuild("bindery", lambda: cast("Any", client), EcrRegistry(REGISTRY, lambda: cast("Any", client)))


@pytest.mark.parametrize(
    "error",
    [
        refused("ThrottlingException"),
        refused("AccountLimitExceededException"),
        refused("AccessDeniedException"),
        EndpointConnectionError(endpoint_url="x"),
    ],
    ids=["throttled", "full", "denied", "nobody"],
)
def test_errors_of_aws_mean_that_the_build_service_is_down(error: Exception) -> None:
    builds = service(Refusing(error))
    image = f"{REGISTRY.removeprefix('https://')}/sessions@sha256:{'0' * 64}"
    for ask in (
        lambda: builds.start(ordered(Path("x"))),
        lambda: builds.status(HANDLE),
        lambda: builds.stop(HANDLE),
        lambda: builds.image_exists(image),
        lambda: builds.remove(image),
    ):
        with pytest.raises(BuildServiceDown) as down:
            ask()
        assert down.value.facts["why"]


def test_an_exceeded_account_limit_is_a_refused_build() -> None:
    """The build has not begun, so the attempt may wait in line. With any other error the build may have begun."""
    words = "Cannot have more than 0 builds in queue for the account"
    error = refused("AccountLimitExceededException")
    error.response["Error"]["Message"] = words
    with pytest.raises(BuildsRefused) as refusal:
        service(Refusing(error)).start(ordered(Path("x")))
    assert str(refusal.value.facts["why"]).endswith(words)
    for other in ("ThrottlingException", "AccessDeniedException"):
        with pytest.raises(BuildServiceDown) as down:
            service(Refusing(refused(other))).start(ordered(Path("x")))
        assert not isinstance(down.value, BuildsRefused)


def test_stopping_a_missing_build_is_no_error() -> None:
    service(Refusing(refused("ResourceNotFoundException"))).stop(HANDLE)


class Starting:
    """A CodeBuild client that records the request it gets."""

    def __init__(self) -> None:
        self.request: dict[str, Any] = {}

    def start_build(self, **request: Any) -> dict[str, Any]:
        self.request = request
        return {"build": {"id": HANDLE}}


@pytest.mark.parametrize(("seconds", "minutes"), [(10, 5), (60, 5), (61, 6), (1800, 34), (10**6, 2160)])
def test_the_limit_for_codebuild_is_longer_than_that_of_the_builder(seconds: int, minutes: int) -> None:
    client = Starting()
    assert service(client).start(ordered(Path("x"), seconds=seconds)) == HANDLE
    assert client.request["timeoutInMinutesOverride"] == minutes


def test_a_repository_address_of_any_length_can_be_built() -> None:
    client, environment = Starting(), "0" * 40
    service(client).start(ordered(Path("x" * 100_000), environment, 12_345, seconds=86_400))
    variables = {variable["name"]: variable["value"] for variable in client.request["environmentVariablesOverride"]}
    assert variables == {
        "BINDERY_ENVIRONMENT": environment,
        "BINDERY_ATTEMPT": "12345",
        "BINDERY_SECONDS": "86400",
    }


def test_a_build_uses_the_layer_of_its_starter_or_else_that_of_the_project() -> None:
    client = Starting()
    layer = "arn:aws:lambda:eu-central-1:123456789012:layer:bindery-builder:7"
    registry = EcrRegistry(REGISTRY, lambda: cast("Any", client))
    for layer_arn in ("", layer):
        CodeBuild("bindery", lambda: cast("Any", client), registry, "", layer_arn).start(ordered(Path("x")))
        variables = client.request["environmentVariablesOverride"]
        assert [each["value"] for each in variables if each["name"] == "BINDERY_LAYER"] == [layer_arn] * bool(layer_arn)


def test_a_new_build_that_codebuild_does_not_list_yet_counts_as_running() -> None:
    """A build that started a moment ago may be missing from BatchGetBuilds, which is eventually consistent."""
    system = InMemorySystem()
    system.builds.report_delay = service(Starting()).report_delay
    launch = system.open()
    system.handle(system.queue.pop())
    key = system.launch(launch).environment
    start = system.builds.start

    def not_found_yet(order: BuildOrder) -> str:
        handle = start(order)
        hidden[handle] = system.builds.reports.pop(handle)
        return handle

    hidden: dict[str, BuildReport] = {}
    system.builds.start = not_found_yet  # type: ignore[method-assign]  # once
    system.pump()
    system.clock.advance(59)
    system.handle(BuildChanged(environment=key, attempt=1))
    assert (system.launch(launch).stage, system.launch(launch).attempt) == (Stage.BUILDING, 1)
    system.builds.reports |= hidden
    system.build()
    now = system.launch(launch)
    assert (now.stage, now.attempt, now.retries) == (Stage.READY, 1, 0)


def test_a_build_that_codebuild_does_not_list_after_a_minute_is_lost() -> None:
    system = InMemorySystem()
    system.builds.report_delay = service(Starting()).report_delay
    launch = system.open()
    system.pump()
    del system.builds.reports[f"{system.launch(launch).environment}-1"]
    system.clock.advance(61)
    system.bindery.reconcile()
    system.build()
    now = system.launch(launch)
    assert (now.stage, now.attempt, now.retries) == (Stage.READY, 2, 1)


def test_an_invalid_handle_is_unknown_without_a_request() -> None:
    builds = service(Refusing(AssertionError("asked")))
    for handle in ("", "x", "../../x", f"{HANDLE}x", "bindery:" + "g" * 36):
        assert builds.status(handle) == BuildReport(BuildState.UNKNOWN)
        builds.stop(handle)


def test_both_container_engines_have_the_same_name() -> None:
    builds = CodeBuild("p", lambda: cast("Any", None), EcrRegistry(REGISTRY, lambda: cast("Any", None)), "base:1")
    assert (
        builds.name == engine_name(REPO2DOCKER, "base:1") == "containers, repo2docker 2026.4.0, base base:1, recipe 2"
    )


def test_the_ecr_registry_finds_and_deletes_images_and_has_a_login() -> None:
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = json.dumps(
        {"schemaVersion": 2, "mediaType": kind, "layers": [], "config": {"digest": "sha256:" + "1" * 64, "size": 1}}
    )
    with mock_aws():
        client = session().client("ecr", config=config())
        client.create_repository(repositoryName="bindery/sessions")
        put = client.put_image(repositoryName="bindery/sessions", imageManifest=manifest, imageTag="key-1")
        registry = EcrRegistry(REGISTRY, lambda: client)
        digest = put["image"]["imageId"]["imageDigest"]
        assert registry.image_exists(registry.by_digest(digest))
        assert not registry.image_exists(registry.by_digest("sha256:" + "0" * 64))
        assert not registry.image_exists(f"{registry.host}/others/sessions@{digest}")
        assert registry.remove(f"{registry.host}/others/sessions@{digest}")
        assert registry.image_exists(registry.by_digest(digest))
        for _ in range(2):
            assert registry.remove(registry.by_digest(digest))
            assert not registry.image_exists(registry.by_digest(digest))
        login = json.loads(registry.login)["auths"][registry.host]["auth"]
        assert base64.b64decode(login).startswith(b"AWS:")


Call = Callable[[EcrRegistry, str], bool]
CALLS: dict[str, Call] = {"batch_get_image": EcrRegistry.image_exists, "batch_delete_image": EcrRegistry.remove}


def after_failures(operation: str, *codes: str) -> bool:
    """Return the registry's answer about an image when ECR answers the operation with failures of these codes."""
    client = session().client("ecr", config=config())
    registry = EcrRegistry(REGISTRY, lambda: client)
    image = registry.by_digest("sha256:" + "1" * 64)
    failures = [{"failureCode": code} if code else {} for code in codes]
    with closing(client), Stubber(client) as stub:
        stub.add_response(operation, {"failures": failures})
        return CALLS[operation](registry, image)


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("codes", [("KmsError",), ("ImageNotFound", "InaccessibleImage"), ("",)], ids=" and ".join)
def test_another_error_of_ecr_does_not_mean_that_an_image_is_gone(operation: str, codes: tuple[str, ...]) -> None:
    with pytest.raises(BuildServiceDown, match=f"ECR says .*{codes[-1] or 'unknown'}"):
        after_failures(operation, *codes)


@pytest.mark.parametrize(("operation", "result"), [("batch_get_image", False), ("batch_delete_image", True)])
def test_an_image_that_ecr_does_not_find_is_gone(operation: str, result: bool) -> None:
    assert after_failures(operation, "ImageNotFound") is result
