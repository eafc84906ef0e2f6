"""Tests of the packages that `make build` makes: they are complete, small, and as quick to import as possible."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from bindery_local.template import load
from infra.packages import left_out
from tests.serving.packages import BUILT, ROOT

LIBRARY = BUILT / "Library" / "python"
SOURCE = ROOT / "layers" / "bindery" / "bindery"
# kB zipped and unpacked. Lambda's own limits are 50 MB and 250 MB, all layers of a function together.
# A quarter of the library is cryptography, with which a GitHub App signs; it is loaded only for such an App.
LARGEST_LIBRARY = 23_000, 65_000
LARGEST_FUNCTION = 10, 20
LARGEST_BUILDER = 26_000
UNCHECKED_HASH = b"\x01\x00\x00\x00"

pytestmark = pytest.mark.usefixtures("printed")


def function_names() -> list[str]:
    """Return the functions of the template. Their packages have the same names."""
    resources = load(ROOT / "template.yaml")["Resources"]
    return sorted(name for name, resource in resources.items() if resource["Type"] == "AWS::Serverless::Function")


def run(python: Path, code: str, cwd: Path = BUILT, variables: Mapping[str, str] | None = None) -> str:
    """Run code in Lambda's own Python, with the library but no file of this project or machine. Raise AssertionError
    if it fails.
    """
    clean = {"PYTHONPATH": str(LIBRARY), "AWS_DEFAULT_REGION": "eu-central-1", **(variables or {})}
    done = subprocess.run([python, "-S", "-B", "-c", code], cwd=cwd, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def files(folder: Path, pattern: str = "*") -> set[str]:
    """Return the paths below the folder, without byte code."""
    paths = (path for path in folder.rglob(pattern) if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)) for path in paths}


def test_package_sizes_are_printed_and_within_their_limits(printed: str) -> None:
    matches = re.findall(r"^(\w+) (\d+) kB \((\d+) kB unpacked\)$", printed, re.MULTILINE)
    sizes = {name: (int(zipped), int(unpacked)) for name, zipped, unpacked in matches}
    assert printed.splitlines()[-1].startswith("total ")
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/handler.py")}
    assert folders <= sizes.keys()
    assert all(sizes[name] <= LARGEST_FUNCTION and sizes[name][1] <= LARGEST_FUNCTION[1] for name in folders)
    assert sizes["library"] <= LARGEST_LIBRARY
    assert sizes["buildercode"][0] <= LARGEST_BUILDER
    assert sizes["library"][1] <= LARGEST_LIBRARY[1]
    real = sum(path.stat().st_size for path in LIBRARY.rglob("*") if path.is_file())
    assert sizes["library"][1] == -(-real // 1000)
    parts = sum(zipped for name, (zipped, _) in sizes.items() if name != "total")
    assert parts - len(sizes) < sizes["total"][0] <= parts


def test_building_packages_prints_no_warning(printed: str) -> None:
    """Functions are not built as pip's projects, because pip would warn twelve times about a missing
    requirements.txt.
    """
    assert "Building layer 'Library'" in printed
    assert re.findall(r"^.*(?:not found|warning|error|failed|skipp).*$", printed, re.IGNORECASE | re.MULTILINE) == []


@pytest.mark.parametrize("name", function_names())
def test_every_handler_imports_with_the_deployed_packages_only(python: Path, name: str) -> None:
    output = run(
        python, "import handler; print(callable(getattr(handler, 'handler', None) or handler.app))", BUILT / name
    )
    assert output == "True\n"


def test_every_deployed_module_imports(python: Path) -> None:
    """This test notices modules that were left out by mistake."""
    code = """
import importlib, pkgutil, bindery
names = [each.name for each in pkgutil.walk_packages(bindery.__path__, "bindery.")]
for name in names:
    if name not in ("bindery.adapters.jupyter.start_lab",):  # these are to be run, not imported
        importlib.import_module(name)
print(len(names))"""
    assert int(run(python, code)) > 80


@pytest.mark.parametrize("cluster", [{"eks_cluster": "sessions"}, {"kubeconfig_secret": "bindery/cluster"}])
def test_adapters_for_the_deployed_settings_can_be_created(python: Path, cluster: dict[str, str]) -> None:
    code = """
from bindery import bootstrap
from bindery.adapters.kubernetes import manifests
adapters = bootstrap.ports()
picked = adapters.table, adapters.queue, adapters.build_service, adapters.launcher
print(*(type(each).__name__ for each in picked), *adapters.providers())
assert manifests._shipped(manifests.HERE, "checkout.sh") and manifests._shipped(manifests.JUPYTER, "serve.sh")"""
    settings = {"table": "t", "queues": "sqs", "builder": "codebuild", "registry": "https://registry.example"}
    settings |= {"launcher": "kubernetes", "secret": "x" * 48, **cluster}
    output = run(python, code, variables={f"BINDERY_{name.upper()}": value for name, value in settings.items()})
    assert output.split()[:4] == ["DynamoTable", "SqsQueues", "CodeBuild", "KubernetesSessions"]
    assert "gh" in output.split()[4:]


def test_the_library_contains_the_whole_control_plane_and_no_other_package() -> None:
    assert files(LIBRARY / "bindery") == files(SOURCE)
    assert not list(LIBRARY.glob("bindery_*"))


def test_a_function_contains_only_its_handler() -> None:
    for name in function_names():
        started = {"run.sh", "serve.py"} if name == "StreamLaunch" else set()
        assert files(BUILT / name) == {"handler.py", *started}
    assert os.access(BUILT / "StreamLaunch" / "run.sh", os.X_OK)


def test_every_module_has_unchecked_byte_code() -> None:
    """Byte code that is checked against its source's time would be compiled again, because zip files are unpacked at
    another time.
    """
    for folder in (LIBRARY, *(BUILT / name for name in function_names())):
        for module in files(folder, "*.py"):
            path = folder / module
            compiled = path.parent / "__pycache__" / f"{path.stem}.cpython-313.pyc"
            assert compiled.read_bytes()[4:8] == UNCHECKED_HASH, module


def test_the_library_contains_each_locked_version_once() -> None:
    locked = {each["name"]: each.get("version") for each in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    packages = [path.name.removesuffix(".dist-info").rpartition("-") for path in LIBRARY.glob("*.dist-info")]
    versions = {name.replace("_", "-").lower(): version for name, _, version in packages}
    assert len(versions) == len(packages)
    assert {"botocore", "pydantic"} <= versions.keys()
    assert versions == {name: locked[name] for name in versions}


def test_the_library_contains_no_tests_stubs_or_development_packages() -> None:
    assert [name for name in files(LIBRARY) if re.search(r"\.pyi$|\.c$|(^|/)tests?/|^bin/", name)] == []
    assert not {"pytest", "moto", "mypy", "uv", "repo2docker", "mypy_boto3_dynamodb"} & {
        path.name for path in LIBRARY.iterdir()
    }
    assert not {"kubernetes", "requests", "oauthlib"} & {path.name for path in LIBRARY.iterdir()}


def test_clients_of_all_aws_services_in_use_can_be_created(python: Path) -> None:
    services = {
        service
        for path in SOURCE.rglob("*.py")
        for service in re.findall(r"""client\(\s*["']([a-z0-9-]+)["']""", path.read_text())
    }
    of_builds = {"ecr-public"}  # the builder's layer has every service
    assert {"dynamodb", "sqs"} <= services - of_builds <= set(left_out.AWS_SERVICES)
    code = f"import boto3; [boto3.client(name).meta.endpoint_url for name in {left_out.AWS_SERVICES!r}]"
    run(python, code)
    described = {path.name for path in (LIBRARY / "botocore" / "data").iterdir() if path.is_dir()}
    assert described == set(left_out.AWS_SERVICES)


def test_without_the_python_of_lambda_the_build_names_what_to_install(tmp_path: Path) -> None:
    bare = {"PATH": str(tmp_path), "HOME": str(tmp_path), "PYENV_ROOT": str(tmp_path)}
    command = [sys.executable, "-m", "infra.packages", "build"]
    done = subprocess.run(command, cwd=ROOT, env=bare, capture_output=True, text=True)
    assert done.returncode == 1
    assert "neither python3.13 on PATH nor a pyenv version 3.13.x" in done.stderr
    assert "Traceback" not in done.stderr
