"""The buildspec, executed phase by phase: real git, real images, a locked registry, the project's credentials."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bindery.adapters.clock import SystemClock
from bindery.domain.builds import BuildState
from bindery.domain.errors import BuildAbandoned, BuildFailed, BuildTooLong
from bindery.domain.failure import Failure
from bindery.state.environments import Environments
from tests.codebuilds import CodeBuilding, codebuilding, what_is_missing
from tests.containers import FROM_NOTHING, Held, step
from tests.serving.build_machine import PROJECT
from tests.serving.machine_aws import ACCESS_KEY, CREDENTIALS_PATH, SECRET_KEY, SESSION_TOKEN
from tests.serving.registry import PASSWORD

pytestmark = pytest.mark.skipif(bool(what_is_missing()), reason=what_is_missing())


@pytest.fixture
def building(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CodeBuilding]:
    with codebuilding(tmp_path, monkeypatch) as building:
        yield building


def test_a_dockerfile_becomes_an_image_that_is_recorded_by_its_digest(building: CodeBuilding) -> None:
    order = building.order({"Dockerfile": FROM_NOTHING + step("echo hello from the step")}, "key", 3)
    report = building.build(order)
    assert report.state is BuildState.SUCCEEDED, (report, building.queue.text)
    digest = report.image.removeprefix(f"{building.registry.host}/bindery/sessions@")
    served = building.registry.ask("HEAD", "bindery/sessions/manifests/key-3")
    assert served.headers["Docker-Content-Digest"] == digest
    assert building.builds.image_exists(report.image)
    assert "\nhello from the step\n" in building.queue.text
    assert [line.number for line in building.queue.lines] == list(range(len(building.queue.lines)))
    assert building.queue.ended == [("key", 3)]


def test_log_lines_appear_during_the_build(building: CodeBuilding, holding: Held) -> None:
    order = building.order({"Dockerfile": FROM_NOTHING + holding.step})
    handle = building.builds.start(order)
    building.gate.open()
    with holding.wait():
        building.queue.wait(lambda: "\nholding\n" in building.queue.text)
        assert building.builds.status(handle).state is BuildState.RUNNING
    building.wait(handle)
    assert building.builds.status(handle).state is BuildState.SUCCEEDED
    assert "\nlet go\n" in building.queue.text


def test_a_failing_step_is_reported_with_its_last_output(building: CodeBuilding) -> None:
    order = building.order({"Dockerfile": FROM_NOTHING + step("echo no such package: spam; exit 7")})
    handle = building.builds.start(order)
    building.gate.open()
    assert building.wait(handle).status == "SUCCEEDED", "only such a build's variables are sure to be exported"
    failure = building.builds.status(handle).failure
    assert failure is not None
    assert failure.kind == "BuildFailed"
    assert str(failure.facts["step"]).startswith("RUN /bin/busybox sh -c echo no such package")
    assert failure.facts["why"] == "exit status 7: no such package: spam"


def test_a_killed_builder_is_a_fault_of_the_build_service(building: CodeBuilding, holding: Held) -> None:
    handle = building.builds.start(building.order({"Dockerfile": FROM_NOTHING + holding.step}))
    building.gate.open()
    with holding.wait():
        shell = building.machine.builds[handle].process
        assert shell is not None
        [builder] = Path(f"/proc/{shell.pid}/task/{shell.pid}/children").read_text().split()
        os.kill(int(builder), signal.SIGKILL)
        building.wait(handle)
    failure = building.builds.status(handle).failure
    assert failure is not None
    assert failure.kind == "BuildServiceDown"
    assert "BUILD" in str(failure.facts["why"])


def test_an_endless_build_is_ended_at_its_limit(building: CodeBuilding, holding: Held) -> None:
    order = building.order({"Dockerfile": FROM_NOTHING + holding.step}, seconds=3)
    assert building.build(order).failure == Failure.of(BuildTooLong(minutes=1))


def test_codebuild_ends_a_build_if_its_builder_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holding: Held
) -> None:
    with codebuilding(tmp_path, monkeypatch, minute=0.8) as building:
        order = building.order({"Dockerfile": FROM_NOTHING + holding.step}, seconds=60)
        assert building.build(order).failure == Failure.of(BuildTooLong(minutes=1))


def test_a_build_that_fills_the_disk_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with codebuilding(tmp_path, monkeypatch, more={"BINDERY_BUILD_GIGABYTES": "0.05"}) as building:
        order = building.order({"Dockerfile": FROM_NOTHING + step("dd if=/dev/zero of=/big bs=1M count=3000")})
        full = BuildFailed(step="Dockerfile", why="the disk holds 0.05 GB more than when it began")
        assert building.build(order).failure == Failure.of(full)


def test_a_stopped_build_is_reported_as_stopped(building: CodeBuilding, holding: Held) -> None:
    handle = building.builds.start(building.order({"Dockerfile": FROM_NOTHING + holding.step}))
    building.gate.open()
    with holding.wait():
        building.builds.stop(handle)
        building.wait(handle)
    assert building.builds.status(handle).failure == Failure.of(BuildFailed(step="build", why="it was stopped"))


def test_a_missing_commit_is_reported(building: CodeBuilding) -> None:
    order = building.order({"Dockerfile": FROM_NOTHING})
    gone = order.repository.model_copy(update={"ref": "0" * 40})
    failure = building.build(building.claimed_order("env", 1, gone, 120)).failure
    assert failure is not None
    assert failure.kind == "RefNotFound"


def test_a_repository_with_the_longest_address_can_be_built(building: CodeBuilding) -> None:
    """A repository with the longest possible address builds like any other.

    Percent-encoded, as in people's addresses, it exceeds the space that CodeBuild has for a build's variables.
    """
    order = building.order({"Dockerfile": FROM_NOTHING})
    long = dict.fromkeys(("spec", "resolved_spec"), "\N{CYRILLIC CAPITAL LETTER ZHE}" * 2000)
    url = order.repository.ref_url + "/%D0%96" * 2000
    repository = order.repository.model_copy(update={**long, "repo_url": url, "ref_url": url})
    assert building.build(building.claimed_order("env", 1, repository, 120)).state is BuildState.SUCCEEDED, (
        building.queue.text
    )


def test_a_build_started_by_a_function_of_an_older_version_succeeds(building: CodeBuilding) -> None:
    """A build that a function of an older version started is made.

    That function passed no time limit. It passed details that a build now reads in the table.
    """
    order = building.order({"Dockerfile": FROM_NOTHING}, "env", 1)
    variables = {"BINDERY_ORDER": "{}", "BINDERY_ENVIRONMENT": "env", "BINDERY_ATTEMPT": "1"}
    started = building.machine.start_build(
        projectName=PROJECT,
        idempotencyToken="older",
        environmentVariablesOverride=[{"name": name, "value": text} for name, text in variables.items()],
        timeoutInMinutesOverride=order.seconds,
    )
    building.gate.open()
    building.wait(started["build"]["id"])
    assert building.builds.status(started["build"]["id"]).state is BuildState.SUCCEEDED, building.queue.text


def test_an_attempt_abandoned_before_its_start_ends_at_its_first_step(building: CodeBuilding) -> None:
    order = building.order({"Dockerfile": FROM_NOTHING + step("echo ran")})
    handle = building.builds.start(order)
    environments = Environments(building.table, SystemClock())
    environments.give_up("env", 1, Failure.of(BuildAbandoned()))
    building.gate.open()
    assert "Nobody waits for this attempt any more" in building.wait(handle).lines
    assert environments.handle("env", 1) == ""
    assert building.queue.lines == []
    assert not [request for request in building.git.requests if "upload-pack" in request]


def test_an_attempt_with_an_empty_handle_ends_at_its_first_step(building: CodeBuilding) -> None:
    """An attempt with an empty handle ends at its first step.

    It was given up between its look at the environment and that step.
    """
    handle = building.builds.start(building.order({"Dockerfile": FROM_NOTHING + step("echo ran")}))
    Environments(building.table, SystemClock()).record_start("env", 1, "")
    building.gate.open()
    assert "It was given up" in building.wait(handle).lines
    assert building.queue.lines == []
    assert not [request for request in building.git.requests if "upload-pack" in request]


def test_the_second_build_of_one_attempt_exits(building: CodeBuilding, holding: Held) -> None:
    order = building.order({"Dockerfile": FROM_NOTHING + holding.step})
    first = building.builds.start(order)
    building.gate.open()
    connection = holding.wait()
    assert building.builds.start(order) == first
    building.machine.forget_tokens()
    second = building.builds.start(order)
    assert second != first
    assert building.wait(second).status == "SUCCEEDED"
    assert building.builds.status(second) == building.builds.status(first)
    assert building.builds.status(first).state is BuildState.RUNNING
    assert any("Another build makes this attempt" in line for line in building.machine.builds[second].lines)
    connection.close()
    building.wait(first)
    report = building.builds.status(first)
    assert report.state is BuildState.SUCCEEDED
    assert building.builds.status(second) == report
    assert [line.number for line in building.queue.lines] == list(range(len(building.queue.lines)))


def test_a_step_cannot_forge_a_log_line(building: CodeBuilding) -> None:
    forged = json.dumps(
        {"environment": "other", "attempt": 1, "lines": [{"number": 0, "phase": "x", "message": "forged"}]}
    )
    file = f"{forged}\nexport BINDERY_IMAGE=forged\n"
    order = building.order({"Dockerfile": FROM_NOTHING + "COPY lines /\n" + step("cat /lines"), "lines": file})
    assert building.build(order).state is BuildState.SUCCEEDED
    assert forged in building.queue.text
    assert {message.environment for message in building.queue.messages if hasattr(message, "environment")} == {"env"}
    assert building.queue.lines[0].message != "forged"


def test_the_firewall_is_closed_before_any_step_runs(building: CodeBuilding) -> None:
    order = building.order({"Dockerfile": FROM_NOTHING})
    handle = building.builds.start(order)
    assert not (building.folder / "firewall").exists()
    building.gate.open()
    building.wait(handle)
    rules = (building.folder / "firewall").read_text().splitlines()
    assert rules[0] == "--wait -I FORWARD -i docker0 -d 169.254.0.0/16 -j REJECT"
    assert "--wait -I INPUT -i docker0 -j REJECT" in rules
    assert "--wait -I OUTPUT -d 169.254.169.254 -j REJECT" in rules


def test_without_a_closed_firewall_nothing_is_built(building: CodeBuilding) -> None:
    (building.folder / "bin" / "iptables").write_text("#!/bin/sh\nexit 3\n")
    failure = building.build(building.order({"Dockerfile": FROM_NOTHING + step("echo ran")})).failure
    assert failure is not None
    assert failure.kind == "BuildServiceDown"
    assert "INSTALL" in str(failure.facts["why"])
    assert building.queue.lines == []
    assert not [request for request in building.git.requests if "upload-pack" in request]


def test_no_credential_is_visible_to_a_step_or_in_the_log(building: CodeBuilding, holding: Held) -> None:
    look = step("env; cat /proc/self/environ")
    order = building.order({"Dockerfile": FROM_NOTHING + look + holding.step})
    handle = building.builds.start(order)
    building.gate.open()
    with holding.wait():
        home = building.folder / "machine" / handle.partition(":")[2]
        logins = list((home / "work").rglob("login/config.json"))
        assert [login.read_text() for login in logins] == ["{}"]
        assert "GetAuthorizationToken" not in building.aws.requests, "nobody has asked for the password yet"
    building.wait(handle)
    assert building.builds.status(handle).state is BuildState.SUCCEEDED
    assert "GetAuthorizationToken" in building.aws.requests
    output = "\n".join(building.machine.builds[handle].lines)
    for secret in (PASSWORD, ACCESS_KEY, SECRET_KEY, SESSION_TOKEN):
        assert secret not in output
    assert f"AWS_CONTAINER_CREDENTIALS_FULL_URI={building.aws.origin}{CREDENTIALS_PATH}" not in building.queue.text
    assert "AWS_" not in building.queue.text
