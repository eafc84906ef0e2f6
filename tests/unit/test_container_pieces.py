"""The parts of container builds: command lines, reasons of failures, and the message about a missing tool."""

import subprocess
from pathlib import Path

import pytest

from bindery.adapters.clock import SystemClock
from bindery.adapters.oci_registry import Registry
from bindery.domain.errors import BuildServiceDown
from bindery_builder.failure_reason import image_build_error, push_failure_reason
from bindery_builder.images.layer_cache import namespace
from bindery_builder.images.tool import ContainerTool, Desk
from bindery_local.builds.container_builds import ContainerBuilds
from tests.building import FolderContents, RecordingQueue, ordered, written
from tests.serving.tool_storage import clear

REGISTRY = Registry("https://quay.io/my-org", "user", "s3cret")


def test_a_missing_container_tool_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    builds = ContainerBuilds(
        tmp_path, FolderContents(), RecordingQueue(), SystemClock(), Registry("http://127.0.0.1:1"), tool="podman"
    )
    words = "install podman, or set BINDERY_CONTAINER_TOOL"
    with pytest.raises(BuildServiceDown, match=words):
        builds.name  # noqa: B018
    with pytest.raises(BuildServiceDown, match=words):
        builds.start(ordered(tmp_path))


@pytest.fixture(params=["podman", "buildah", "docker"])
def tool(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ContainerTool:
    (tmp_path / request.param).write_text("#!/bin/sh\n")
    (tmp_path / request.param).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return ContainerTool(request.param, tmp_path / "containers")


def test_all_container_tools_get_equivalent_build_commands(tool: ContainerTool, tmp_path: Path) -> None:
    dockerfile = written(tmp_path / "content", {"Dockerfile": "FROM x\n"}) / "Dockerfile"
    command = tool.build(tmp_path / "content", dockerfile, {"a": "--b"}, Desk(tmp_path))
    assert command[0] == tool.path
    assert "build" in command
    assert command[-1] == str(tmp_path / "content")
    assert {"--label=a=--b", "--build-arg=NB_USER=jovyan", "--build-arg=NB_UID=1000"} <= {*command}
    assert command[command.index("--iidfile") + 1] == str(tmp_path / "image")
    assert ("--layers=true" in command) == (tool.name != "docker")
    widened = ("--allow", "--network", "--privileged", "--security", "--device", "--volume", "--ssh", "--secret")
    assert not [word for word in command if word.startswith(widened)], "a step gets nothing of the machine's"


def test_https_pushes_check_certificates_and_no_command_contains_a_secret(tool: ContainerTool, tmp_path: Path) -> None:
    secure = [word for command in tool.push("sha256:1", REGISTRY, "key-1", Desk(tmp_path)) for word in command]
    assert any(word.endswith("quay.io/my-org/sessions:key-1") for word in secure)
    assert "--tls-verify=false" not in secure
    assert not [word for word in secure if "s3cret" in word or "--creds" in word]
    plain = tool.push("sha256:1", Registry("http://127.0.0.1:5000"), "key-1", Desk(tmp_path))
    assert any("--tls-verify=false" in command for command in plain) == (tool.name != "docker")


def test_the_tool_gets_only_the_necessary_variables(tool: ContainerTool, tmp_path: Path) -> None:
    machine = {
        "PATH": "/bin",
        "AWS_SECRET_ACCESS_KEY": "s3cret",
        "BINDERY_REGISTRY_PASSWORD": "s3cret",
        "HOME": "/root",
    }
    variables = tool.environment({**machine, "REGISTRY_AUTH_FILE": "/a", "BUILDAH_ISOLATION": "chroot"}, Desk(tmp_path))
    assert "s3cret" not in variables.values()
    assert (variables["BUILDAH_ISOLATION"], "REGISTRY_AUTH_FILE" in variables) == ("chroot", False)
    assert Path(variables["HOME"]).is_relative_to(tmp_path)


def test_other_users_cannot_read_a_login(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "attempt")
    desk.prepare()
    desk.write_login(REGISTRY.login)
    assert desk.login.stat().st_mode & 0o777 == 0o600
    assert desk.login.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("last", "step", "why"),
    [
        (["STEP 2/2: RUN x", "spam", 'Error: building at STEP "RUN x": exit status 7'], "RUN x", "exit status 7: spam"),
        (["spam", "STEP 2/2: RUN x", 'Error: building at STEP "RUN x": exit status 7'], "RUN x", "exit status 7"),
        (['Error: building at STEP "RUN x": while running runtime: exit status 1'], "RUN x", "exit status 1"),
        (
            ["Step 2/2 : RUN x", "spam", "The command 'sh -c x' returned a non-zero code: 7"],
            "RUN sh -c x",
            "exit status 7: spam",
        ),
        (["Error: creating build container: no such image"], "image", "creating build container: no such image"),
        (["ERROR: failed to solve: process did not complete"], "image", "failed to solve: process did not complete"),
        ([], "image", ""),
    ],
)
def test_a_failed_build_is_reported_with_step_and_reason(last: list[str], step: str, why: str) -> None:
    assert image_build_error(1, last).facts == {"step": step, "why": why}


def test_a_failed_push_is_reported_with_the_end_of_its_error() -> None:
    chain = (
        'Error: pushing image "a" to "b": pinging registry: Get "http://c/v2/": dial tcp: connect: connection refused'
    )
    assert push_failure_reason(["Getting image", chain]) == "dial tcp: connect: connection refused"
    assert push_failure_reason(["unauthorized: authentication required"]) == "unauthorized: authentication required"
    assert push_failure_reason([]) == ""


def test_docker_is_configured_to_run_no_git_commands(tool: ContainerTool, tmp_path: Path) -> None:
    variables = tool.environment({"BUILDX_GIT_INFO": "1"}, Desk(tmp_path))
    assert {variables[name] for name in ("BUILDX_GIT_INFO", "BUILDX_GIT_LABELS", "BUILDX_GIT_CHECK_DIRTY")} == {"0"}


def test_the_storage_of_a_test_is_removed_after_its_last_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    tool = ContainerTool("buildah", tmp_path / "containers")
    cut_short = f"sleep 0.5; mkdir -p {tool.run_root}/overlay-layers; : {tool.storage}"
    with subprocess.Popen(["sh", "-c", cut_short]) as process:
        clear(tool)
        assert process.wait() == 0
    assert [path.name for path in tmp_path.iterdir()] == []


def test_a_foreign_commit_shares_no_layers_with_other_commits() -> None:
    own = ordered(Path("/repository")).repository
    foreign = own.model_copy(update={"on_branch_or_tag": False, "ref": "f" * 40})
    later = own.model_copy(update={"ref": "e" * 40})
    assert namespace(own) == namespace(later)
    assert len({namespace(own), namespace(foreign), namespace(foreign.model_copy(update={"ref": "d" * 40}))}) == 3


def test_all_spellings_of_a_repository_share_layers() -> None:
    own = ordered(Path("/repository")).repository.model_copy(update={"canonical_url": "https://example.org/o/r"})
    spelling = own.model_copy(update={"clone_url": "https://example.org/O/R"})
    assert namespace(spelling) == namespace(own)
