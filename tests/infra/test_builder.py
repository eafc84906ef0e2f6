"""Tests that the code inside CodeBuild agrees with the template, the lock and the functions."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from bindery.adapters import builder_version
from bindery.domain.messages import LogLine, LogWritten
from bindery.settings import Settings
from bindery_builder.codebuild.lines import MOST_BYTES, Lines
from bindery_local.template import load
from infra.packages.builder_layer import make
from infra.packages.locked import PYTHON
from tests.building import written

ROOT = Path(__file__).parents[2]
BUILDSPEC = (ROOT / "infra" / "codebuild" / "buildspec.yml").read_text()


@pytest.fixture(scope="module")
def project() -> Mapping[str, Any]:
    properties: Mapping[str, Any] = load(ROOT / "template.yaml")["Resources"]["Builds"]["Properties"]
    return properties


def test_the_codebuild_project_contains_the_tested_buildspec(project: Mapping[str, Any]) -> None:
    without_remarks = [line for line in BUILDSPEC.splitlines() if not line.startswith("#")]
    assert project["Source"]["BuildSpec"].splitlines() == without_remarks


def test_every_variable_that_the_buildspec_uses_is_defined(project: Mapping[str, Any]) -> None:
    spec = yaml.safe_load(BUILDSPEC)
    required = set(re.findall(r"\$(BINDERY_\w+)", BUILDSPEC))
    there = [each.get("If", ["", each])[1] for each in project["Environment"]["EnvironmentVariables"]]
    available = {variable["Name"] for variable in there} | set(spec["env"]["variables"])
    assert required <= available
    settings = {name.removeprefix("BINDERY_").lower() for name in available if name.startswith("BINDERY_")} - {"layer"}
    assert settings <= Settings.model_fields.keys()


def test_the_version_of_repo2docker_is_the_same_everywhere() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert f"jupyter-repo2docker=={builder_version.REPO2DOCKER}" in groups["builder"]
    assert version("jupyter-repo2docker") == builder_version.REPO2DOCKER


def test_the_template_uses_the_base_image_of_repo2docker_from_another_registry() -> None:
    default = load(ROOT / "template.yaml")["Parameters"]["BaseImage"]["Default"]
    asking = "from repo2docker.app import Repo2Docker; print(Repo2Docker.base_image.default_value)"
    own = subprocess.run([sys.executable, "-c", asking], capture_output=True, text=True, check=True).stdout.strip()
    assert default.removeprefix("public.ecr.aws/docker/") == own.removeprefix("docker.io/")


def test_a_build_can_write_only_its_attempt_into_the_table() -> None:
    role = load(ROOT / "template.yaml")["Resources"]["BuilderRole"]["Properties"]
    statements = role["Policies"][0]["PolicyDocument"]["Statement"]
    attempts, environments = [statement for statement in statements if "dynamodb:GetItem" in statement["Action"]]
    assert attempts["Action"] == ["dynamodb:GetItem", "dynamodb:PutItem"]
    assert attempts["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["build#*"]}}
    assert environments["Action"] == "dynamodb:GetItem"
    assert environments["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["environment#*"]}}
    assert [statement for statement in statements if "dynamodb" in str(statement["Action"])] == [attempts, environments]
    everywhere = [statement["Action"] for statement in statements if statement["Resource"] == "*"]
    public = ["ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"]
    assert everywhere == ["ecr:GetAuthorizationToken", public]


def test_running_builds_keep_their_layer_during_a_deployment() -> None:
    """The role changes before the functions do; a build may wait half an hour for its machine."""
    resources = load(ROOT / "template.yaml")["Resources"]
    layer = resources["BuilderCode"]["Properties"]
    assert layer["RetentionPolicy"] == "Retain"
    (may,) = [
        statement
        for statement in resources["BuilderRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
        if statement["Action"] == "lambda:GetLayerVersion"
    ]
    assert may["Resource"]["Sub"].endswith(f":layer:{layer['LayerName']['Sub']}:*")
    variables = resources["StartBuild"]["Properties"]["Environment"]["Variables"]
    assert variables["BINDERY_CODEBUILD_LAYER"] == {"Ref": "BuilderCode"}
    assert resources["StartBuild"]["DependsOn"] == "BuilderRole", (
        "no build is told a layer that its role may not get yet"
    )


def test_functions_are_deployed_after_the_project_whose_builds_they_start() -> None:
    """The project has long been able to read the variables that functions pass to a build."""
    template = load(ROOT / "template.yaml")
    shared = template["Globals"]["Function"]["Environment"]["Variables"]
    assert shared["BINDERY_CODEBUILD_PROJECT"] == {"Ref": "Builds"}
    assert template["Resources"]["Builds"]["Properties"]["ServiceRole"] == {"GetAtt": "BuilderRole.Arn"}


def test_a_log_line_stays_within_the_driver_limit_and_loses_no_data() -> None:
    stream = io.StringIO()
    lines = tuple(LogLine(number=n, phase="building", message="\N{GRINNING FACE}" * 500 + "\n") for n in range(40))
    Lines(stream).send(LogWritten(environment="e", attempt=1, lines=lines))
    written = stream.getvalue().splitlines()
    assert max(len(line.encode()) for line in written) < MOST_BYTES + 200
    assert [line["number"] for text in written for line in json.loads(text)["lines"]] == list(range(40))


def runtime_python() -> str:
    """Return the interpreter of the buildspec's version, if this machine has one."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for candidate in (shutil.which(f"python{PYTHON}"), *map(str, root.glob(f"versions/{PYTHON}*/bin/python{PYTHON}"))):
        if candidate and not subprocess.run([candidate, "-c", ""], capture_output=True).returncode:
            return candidate
    return ""


@pytest.mark.skipif(not runtime_python(), reason=f"no Python {PYTHON} is here")
def test_the_layer_has_all_modules_that_a_build_imports(tmp_path: Path) -> None:
    """The layer's code runs under the build's own Python, with no other packages. It gets as far as the table, and
    repo2docker writes a Dockerfile.
    """
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])) or "uv"
    make(tmp_path / "layer", uv)
    code = tmp_path / "layer" / "python"
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(code)}
    started = subprocess.run(
        [runtime_python(), "-m", "bindery_builder.codebuild"], env=environment, capture_output=True, text=True
    )
    assert started.stderr.rstrip().endswith("KeyError: 'BINDERY_ENVIRONMENT'"), started.stderr
    content = written(tmp_path / "content", {"requirements.txt": "six\n"})
    script = code / "bindery_builder" / "images" / "repo2docker_script.py"
    alone = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
    command = [runtime_python(), "-I", str(script), str(content), str(tmp_path / "context"), "base:1"]
    wrote = subprocess.run(command, env=alone, capture_output=True, text=True)
    assert wrote.returncode == 0, wrote.stdout + wrote.stderr
    assert "FROM base:1" in (tmp_path / "context" / "Dockerfile").read_text()
    kilobytes = sum(path.stat().st_size for path in code.rglob("*") if path.is_file()) / 1000
    assert kilobytes < 100_000, "Lambda takes layers of 250 MB"
