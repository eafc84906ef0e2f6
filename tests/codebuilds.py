"""Helpers that tests of CodeBuild share: the adapter on a build machine of our own, with git, a locked registry and AWS's answers."""

import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import boto3
import pytest

from bindery.adapters.aws.codebuild import CodeBuild
from bindery.adapters.aws.codebuild_report import changed
from bindery.adapters.aws.ecr import EcrRegistry
from bindery.domain.builds import BuildOrder, BuildReport
from bindery.domain.environment import Environment, EnvironmentState, Scope
from bindery.domain.messages import LogWritten
from bindery.domain.repository import Repository
from bindery.ports.table import Item
from bindery_builder.images.tool import ContainerTool
from bindery_local.sqlite_table import SqliteTable
from tests.building import RecordingQueue
from tests.containers import configure
from tests.serving import registry
from tests.serving.aws import REGION, config
from tests.serving.build_machine import PROJECT, Build, BuildMachine
from tests.serving.gate import Gate
from tests.serving.git_http import File, GitServer, make_repository
from tests.serving.machine_aws import ACCESS_KEY, CREDENTIALS_PATH, MachineAws
from tests.serving.on_sqlite import BINDERY_LOCAL, ON_SQLITE
from tests.serving.registry import LocalRegistry, local_registry
from tests.serving.tool_storage import clear

if TYPE_CHECKING:
    from mypy_boto3_codebuild import CodeBuildClient

ROOT = Path(__file__).parents[1]
BUILDSPEC = ROOT / "infra" / "codebuild" / "buildspec.yml"
LAYER = "arn:aws:lambda:eu-central-1:123456789012:layer:builder:1"


def what_is_missing() -> str:
    """Return the parts that this machine lacks to be one of CodeBuild's, in one line; an empty text if it has them all."""
    return registry.what_is_missing() or ("" if shutil.which("curl") else "container builds need curl")


@dataclass(frozen=True)
class CodeBuilding:
    """The adapter and all that its builds need. gate: builds stay in their first phase until it is open."""

    builds: CodeBuild
    machine: BuildMachine
    queue: RecordingQueue
    registry: LocalRegistry
    aws: MachineAws
    git: GitServer
    gate: Gate
    folder: Path
    table: SqliteTable

    def order(
        self, files: Mapping[str, str | bytes], environment: str = "env", attempt: int = 1, *, seconds: int = 120,
        repository: str = "",
    ) -> BuildOrder:  # fmt: skip
        """Return an order for a repository that holds these files, and busybox."""
        name = f"{repository or environment}.git"
        busybox = Path(shutil.which("busybox") or "").read_bytes()
        ref = make_repository(self.git.root / name, {**files, "busybox": File(busybox, 0o100755)})
        url = self.git.url(name)
        record = {"provider": "git", "spec": "s", "ref": ref, "resolved_spec": "s", "clone_url": url}
        repository_ = Repository.model_validate({**record, "on_branch_or_tag": True, "repo_url": url, "ref_url": url})
        return self.claimed_order(environment, attempt, repository_, seconds)

    def claimed_order(self, environment: str, attempt: int, repository: Repository, seconds: int) -> BuildOrder:
        """Return the order for an attempt that the table records as claimed. A build reads its order's details in the table."""
        claimed = Environment(
            key=environment, scope=Scope.TREE, inputs={}, state=EnvironmentState.BUILDING, attempt=attempt,
            claimed_by="launch", claimed_at=0, repository=repository,
        )  # fmt: skip
        pk, sk = f"environment#{environment}", "environment"
        before = self.table.get(pk, sk)
        self.table.put(Item(pk, sk, claimed.model_dump(mode="json"), before.version if before else 0))
        return BuildOrder.of(claimed, seconds)

    def build(self, order: BuildOrder) -> BuildReport:
        """Run an attempt from beginning to end."""
        handle = self.builds.start(order)
        self.gate.open()
        self.wait(handle)
        return self.builds.status(handle)

    def wait(self, handle: str) -> Build:
        build = self.machine.builds[handle]
        assert build.ended.wait(120), build.lines[-20:]
        return build


@contextmanager
def codebuilding(
    folder: Path,
    environment: pytest.MonkeyPatch,
    *,
    tool: str = "buildah",
    more: Mapping[str, str] | None = None,
    around: Sequence[str] = (),
    host: str = "127.0.0.1",
    credentials: tuple[str, int] | None = None,
    firewall: str = "",
    minute: float = 60.0,
) -> Iterator[CodeBuilding]:
    """Run a build machine and the servers that its builds use.

    tool: the tool that builds images. host: the address of the servers that builds ask.
    firewall: iptables' path; without it, firewall rules are only noted.
    """
    with ExitStack() as stack:
        images = stack.enter_context(local_registry(folder / "registry", locked=True, host=host))
        aws = stack.enter_context(MachineAws(images, host))
        if credentials:
            stack.enter_context(MachineAws(images, *credentials))
        (folder / "git").mkdir()
        git = stack.enter_context(GitServer(folder / "git", host))
        gate, queue = Gate(folder / "go on"), RecordingQueue()
        configure(folder, environment, images.host)
        variables = {
            **_environment(folder, gate, firewall),
            "BINDERY_REGISTRY": images.address,
            "BINDERY_ALLOWED_PRIVATE_HOSTS": git.address,
            "AWS_ENDPOINT_URL_ECR": aws.origin,
            "BINDERY_CONTAINER_TOOL": tool,
            **_credentials(aws, credentials),
            **_tools(),
            **(more or {}),
        }
        machine = BuildMachine(
            folder / "machine",
            BUILDSPEC.read_text(),
            variables,
            on_line=_log_subscription(queue),
            changed=lambda detail: queue.send(changed(detail)),
            around=around,
            minute=minute,
            prepare=lambda home: (home / "table.sqlite").symlink_to(folder / "table.sqlite"),
        )
        project = boto3.Session(aws_access_key_id=ACCESS_KEY, aws_secret_access_key="x", region_name=REGION)
        ecr = project.client("ecr", config=config(), endpoint_url=aws.origin)
        table = SqliteTable(folder / "table.sqlite")
        builds = CodeBuild(PROJECT, lambda: cast("CodeBuildClient", machine), EcrRegistry(images.address, lambda: ecr))
        try:
            yield CodeBuilding(builds, machine, queue, images, aws, git, gate, folder, table)
        finally:
            gate.open()
            try:
                machine.close()
            finally:
                table.close()
                for home in machine.folder.glob("*"):
                    clear(ContainerTool(tool, home / "tool"))


def _environment(folder: Path, gate: Gate, firewall: str) -> dict[str, str]:
    """Return the contents of the machine's image: Python with the layer's packages, the aws command, iptables."""
    shims = folder / "bin"
    shims.mkdir()
    layer = _layer(folder / "builder.zip")
    command = f"lambda get-layer-version-by-arn --arn {LAYER} --query Content.Location --output text"
    waiting = f"until [ -e '{gate.file}' ]; do sleep 0.05; done"
    _command(shims / "aws", f"[ \"$*\" = '{command}' ] || exit 2\n{waiting}\necho 'file://{layer}'")
    if firewall:
        (shims / "iptables").symlink_to(firewall)
    else:
        _command(shims / "iptables", f"echo \"$*\" >> '{folder}/firewall'")
    path = os.pathsep.join([str(shims), str(Path(sys.executable).parent), os.environ["PATH"]])
    return {
        "PATH": path,
        "HOME": str(folder),
        "BINDERY_LAYER": LAYER,
        "BINDERY_TABLE": "sqlite",
        "AWS_REGION": REGION,
    } | {"AWS_DEFAULT_REGION": REGION}


def _credentials(aws: MachineAws, served: tuple[str, int] | None) -> dict[str, str]:
    """Return the location of the project's credentials: a path on CodeBuild's own address, or on ours."""
    if served:
        return {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": CREDENTIALS_PATH}
    return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": aws.origin + CREDENTIALS_PATH}


def _layer(file: Path) -> Path:
    """Write the layer with the project's own code. Its dependencies are installed here."""
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("python/sitecustomize.py", ON_SQLITE)
        for name in ("__init__.py", "sqlite_table.py"):
            zipped.write(BINDERY_LOCAL / name, f"python/bindery_local/{name}")
        for root, inside in (
            (ROOT / "layers" / "bindery" / "bindery", "bindery"),
            (ROOT / "layers" / "builder" / "bindery_builder", "bindery_builder"),
        ):
            for path in root.rglob("*"):
                if path.is_file() and "__pycache__" not in path.parts:
                    zipped.write(path, f"python/{inside}/{path.relative_to(root)}")
    return file


def _command(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def _tools() -> dict[str, str]:
    """Return the settings that `configure` gave buildah for this machine."""
    names = ("CONTAINERS_REGISTRIES_CONF", "CONTAINERS_CONF", "BUILDAH_ISOLATION")
    return {name: os.environ[name] for name in names}


def _log_subscription(queue: RecordingQueue) -> Callable[[str], None]:
    """Return the log subscription, with its filter: JSON with a number in its first line."""

    def send_lines(line: str) -> None:
        try:
            number = json.loads(line)["lines"][0]["number"]
        except (ValueError, LookupError, TypeError):
            return
        if isinstance(number, int) and number >= 0:
            queue.send(LogWritten.model_validate_json(line))

    return send_lines
