"""The choice of the configuration files that count, and the requests that these files make."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from bindery.domain.errors import BuildFailed, CannotBuild, RepositoryUnusable
from bindery_builder.environments.conda_request import CondaSpecs
from bindery_builder.environments.plan import Plan, read_plan
from bindery_builder.environments.python_version import PythonWanted
from bindery_builder.process.scripts import script_command
from tests.building import written

Files = Mapping[str, str | bytes]


def plan(folder: Path, files: Files) -> Plan:
    return read_plan(written(folder / "content", files))


def lines(read: Plan) -> list[str]:
    assert read.requirements is not None
    assert read.requirements.text is not None
    return read.requirements.text.splitlines()


def test_an_empty_repository_has_an_empty_plan(tmp_path: Path) -> None:
    assert plan(tmp_path, {}) == Plan()


@pytest.mark.parametrize("folder", ["binder", ".binder"])
def test_only_the_binder_folder_is_read_if_there_is_one(tmp_path: Path, folder: str) -> None:
    read = plan(tmp_path, {f"{folder}/start": "", "requirements.txt": "six", "setup.py": "", "Dockerfile": "FROM x"})
    assert read == Plan(start=Path(folder, "start"))


def test_two_binder_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RepositoryUnusable, match="only one"):
        plan(tmp_path, {"binder/start": "", ".binder/start": ""})


def test_requirements_are_read_relative_to_the_root_of_the_repository(tmp_path: Path) -> None:
    read = plan(tmp_path, {"binder/requirements.txt": "six"})
    assert read.requirements is not None
    assert read.requirements.file == "binder/requirements.txt"
    assert read.requirements.folder == tmp_path / "content"


@pytest.mark.parametrize(
    ("files", "project"),
    [
        ({"setup.py": ""}, "setup.py"),
        ({"pyproject.toml": "[project]\nname='x'\n[build-system]\nrequires=[]"}, "pyproject.toml"),
        ({"pyproject.toml": "[tool.poetry]\nname='x'\n[build-system]\nrequires=[]"}, "pyproject.toml"),
        ({"pyproject.toml": "[project]\nname='x'"}, ""),
        ({"pyproject.toml": "[project]\nname='x'", "setup.py": ""}, "setup.py"),
        ({"pyproject.toml": "[build-system]\nrequires=[]"}, ""),
        ({"pyproject.toml": "[build-system]\nrequires=[]", "setup.py": ""}, "setup.py"),
        ({"pyproject.toml": "[tool.ruff]\nline-length=1"}, ""),
        ({"pyproject.toml": "[tool.ruff]", "setup.py": ""}, "setup.py"),
        ({"pyproject.toml": "[project]", "environment.yml": "dependencies: [python]"}, ""),
        ({"pyproject.toml": "[project]", "Pipfile": ""}, ""),
    ],
)
def test_the_repository_is_installed_in_the_same_cases_as_on_binder(tmp_path: Path, files: Files, project: str) -> None:
    assert plan(tmp_path, files).project == project


@pytest.mark.parametrize(
    ("files", "file", "needs"),
    [
        ({"apt.txt": "# tools\n\nvim  # editor\ngit\n"}, "apt.txt", "Debian packages (vim, git)"),
        ({"install.R": ""}, "install.R", "R"),
        ({"DESCRIPTION": "Package: x\nVersion: 1\n"}, "DESCRIPTION", "R"),
        ({"runtime.txt": "r-4.3-2024-01-01\n"}, "runtime.txt", "R 4.3-2024-01-01"),
        ({"binder/Project.toml": ""}, "binder/Project.toml", "Julia"),
        ({"JuliaProject.toml": ""}, "JuliaProject.toml", "Julia"),
        ({"REQUIRE": "julia 1"}, "REQUIRE", "Julia"),
        ({"default.nix": ""}, "default.nix", "Nix"),
        ({".binder/Dockerfile": "FROM x"}, ".binder/Dockerfile", "a container image"),
    ],
)
def test_an_unsupported_requirement_names_its_file(tmp_path: Path, files: Files, file: str, needs: str) -> None:
    with pytest.raises(CannotBuild) as refused:
        plan(tmp_path, files)
    assert (refused.value.facts["file"], refused.value.facts["needs"]) == (file, needs)
    assert "BINDERY_BUILDER=container" in str(refused.value.facts["install"])


@pytest.mark.parametrize("files", [{"apt.txt": "# nothing\n\n"}, {"DESCRIPTION": "a text"}, {"runtime.txt": "\n"}])
def test_configuration_files_without_requirements_are_accepted(tmp_path: Path, files: Files) -> None:
    assert plan(tmp_path, files) == Plan()


@pytest.mark.parametrize(
    ("text", "request_", "close"),
    [("python-3.11", "3.11", ""), ("python-3.11.x\n", "3.11", ""), ("python-3.11.5", "3.11.5", "3.11")],
)
def test_runtime_txt_selects_the_python(tmp_path: Path, text: str, request_: str, close: str) -> None:
    python = plan(tmp_path, {"runtime.txt": text}).python
    assert python is not None
    assert (python.request, python.close) == (request_, close)


@pytest.mark.parametrize("text", ["3.11", "python-", "python---help", "python-3.11 --x", "julia-1.9"])
def test_an_invalid_runtime_txt_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BuildFailed, match=r"should be like python-3\.11"):
        plan(tmp_path, {"runtime.txt": text})


def test_environment_yaml_is_read_if_there_is_no_environment_yml(tmp_path: Path) -> None:
    yaml = {"environment.yaml": "dependencies: [python=3.12, pip: [six]]", "requirements.txt": "numpy"}
    read = plan(tmp_path, yaml)
    assert read.python
    assert (read.python.file, read.python.request) == ("environment.yaml", "3.12")
    assert read.requirements
    assert read.requirements.text == "six\n"
    assert read.notes == ("requirements.txt is not read: environment.yaml counts.",)
    both = plan(tmp_path, {**yaml, "environment.yml": "dependencies: [python=3.11]"})
    assert both.python
    assert both.python.file == "environment.yml"


def test_environment_yml_gives_its_pip_part_and_its_python(tmp_path: Path) -> None:
    text = """
        dependencies:
          - conda-forge::python=3.10
          - pip
          - jupyterlab=4.1
          - notebook>=7
          - pip:
            - six==1.16
            - -r more.txt
    """
    read = plan(tmp_path, {"binder/environment.yml": text, "binder/requirements.txt": "numpy"})
    assert lines(read) == ["jupyterlab==4.1.*", "notebook>=7", "six==1.16", "-r more.txt"]
    assert read.python is not None
    assert read.python.request == "3.10"
    assert read.conda is None
    assert read.requirements is not None
    assert read.requirements.folder == tmp_path / "content" / "binder"
    assert read.notes == ("binder/requirements.txt is not read: environment.yml counts.",)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("python", None),
        ("python=3.10.*", "3.10"),
        ("python==3.10.4", "3.10.4"),
        ("python 3.10", "3.10"),
        ("python>=3.9,<3.12", ">=3.9,<3.12"),
        ("python=3.10=h12_cpython", "3.10"),
    ],
)
def test_all_conda_spellings_of_a_python_version_are_read(tmp_path: Path, entry: str, expected: str | None) -> None:
    python = plan(tmp_path, {"environment.yml": json.dumps({"dependencies": [entry]})}).python
    assert (python.request if python else None) == expected


@pytest.mark.parametrize(
    ("entry", "request_"),
    [
        ("python=3.11.*,!=3.11.0", "==3.11.*,!=3.11.0"),
        ("python>=3.10.*", ">=3.10"),
        ("python >=3.9, <3.12", ">=3.9,<3.12"),
        ("python~=3.9", "~=3.9"),
        ("python 3.9.*,<3.9.5", "==3.9.*,<3.9.5"),
    ],
)
def test_a_conda_version_range_is_translated_for_uv(tmp_path: Path, entry: str, request_: str) -> None:
    python = plan(tmp_path, {"environment.yml": json.dumps({"dependencies": [entry]})}).python
    assert python is not None
    assert python.request == request_


@pytest.mark.parametrize("entry", ["python[version='>=3.8,<3.9']", "python>=3.8|>=3.9"])
def test_a_python_that_only_conda_can_express_is_left_to_conda(tmp_path: Path, entry: str) -> None:
    read = plan(tmp_path, {"environment.yml": json.dumps({"dependencies": [entry, {"pip": ["six"]}]})})
    assert read.conda == CondaSpecs("environment.yml", (), (entry,))
    assert lines(read) == ["six"]


def test_only_the_dependencies_of_an_unbuildable_project_are_installed(tmp_path: Path) -> None:
    text = "[project]\nname='x'\nrequires-python = '>=3.9, <4'\ndependencies=['six']\n"
    read = plan(tmp_path, {"pyproject.toml": text, "requirements.txt": "idna"})
    assert (read.project, read.project_dependencies) == ("", "pyproject.toml")
    assert read.python == PythonWanted("pyproject.toml", ">=3.9,<4", prefers_default=True)


def test_runtime_txt_has_precedence_over_requires_python(tmp_path: Path) -> None:
    files = {"pyproject.toml": "[project]\nrequires-python = '>=3.9'\n", "runtime.txt": "python-3.11"}
    python = plan(tmp_path, files).python
    assert python is not None
    assert python.file == "runtime.txt"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"requirements.txt": "six\n-e git+https://h/r@v1#egg=r\n"}, "six\ngit+https://h/r@v1#egg=r\n"),
        ({"binder/requirements.txt": "  --editable=git+ssh://h/r\n"}, "git+ssh://h/r\n"),
        ({"requirements.txt": "-e .\nsix\n"}, None),
        ({"binder/requirements.txt": "-e git+https://h/r\n-r more.txt\n"}, None),
    ],
)
def test_editable_repositories_become_plain_ones(tmp_path: Path, files: Files, expected: str | None) -> None:
    requirements = plan(tmp_path, files).requirements
    assert requirements is not None
    assert requirements.text == expected


def test_conda_packages_are_planned_as_the_file_writes_them(tmp_path: Path) -> None:
    dependencies = "[python=3.11, numpy=1.26, 'conda-forge::gdal', pip, jupyterlab=4.1, {pip: [six]}]"
    text = f"channels: [bioconda, nodefaults]\ndependencies: {dependencies}"
    read = plan(tmp_path, {"environment.yml": text})
    specs = ("python=3.11", "numpy=1.26", "conda-forge::gdal", "pip", "jupyterlab=4.1")
    assert read.conda == CondaSpecs("environment.yml", ("bioconda", "nodefaults"), specs)
    assert lines(read) == ["six"]


@pytest.mark.parametrize(
    ("channels", "specs", "addresses"),
    [
        ((), ("a",), ["conda-forge"]),
        (("bioconda",), ("a",), ["bioconda", "conda-forge"]),
        (("conda-forge", "bioconda"), ("a",), ["conda-forge", "bioconda"]),
        (("bioconda", "nodefaults"), ("a",), ["bioconda"]),
        (("defaults",), ("a",), ["main", "r", "conda-forge"]),
        (("nodefaults",), ("a",), ["conda-forge"]),
        ((), ("x/label/dev::a", "defaults::b"), ["conda-forge", "x/label/dev", "main"]),
    ],
)
def test_channels_have_the_order_of_the_file(
    channels: tuple[str, ...], specs: tuple[str, ...], addresses: list[str]
) -> None:
    read = CondaSpecs("environment.yml", channels, specs)
    assert read.addresses("https://c.example/") == tuple(f"https://c.example/{name}" for name in addresses)


def test_a_spec_with_a_channel_gets_its_address() -> None:
    read = CondaSpecs("environment.yml", (), ("x::a>=1", "https://d.example/y::b", "c=2"))
    assert read.addressed("https://c.example") == ("https://c.example/x::a>=1", "https://d.example/y::b", "c=2")


@pytest.mark.parametrize(
    "text",
    [
        "- a list",
        "dependencies: x",
        "dependencies: [{pip: x}]",
        'dependencies: [{pip: ["a\\nb"]}]',
        "a: [",
        b"\xff\xfe\x00",
        "[" * 5000,
    ],
)
def test_an_invalid_environment_yml_is_refused(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(BuildFailed):
        plan(tmp_path, {"environment.yml": text})


def test_a_pipfile_lock_is_read_as_requirements(tmp_path: Path) -> None:
    lock = {
        "_meta": {"requires": {"python_version": "3.11"}},
        "default": {
            "requests": {"version": "==2.31.0", "extras": ["socks"], "markers": "python_version >= '3.7'"},
            "here": {"path": ".", "editable": True},
            "tool": {"git": "https://example.org/tool.git", "ref": "abc"},
        },
        "develop": {"six": {"version": "==1.16.0"}},
    }
    read = plan(tmp_path, {"Pipfile.lock": json.dumps(lock), "Pipfile": "[packages]\nother='*'"})
    assert lines(read) == [
        "requests[socks]==2.31.0 ; python_version >= '3.7'",
        "-e ./.",
        "tool @ git+https://example.org/tool.git@abc",
        "six==1.16.0",
    ]
    assert read.python is not None
    assert read.python.request == "3.11"


def test_a_pipfile_without_a_lock_is_read(tmp_path: Path) -> None:
    text = '[packages]\nsix = "*"\nnumpy = ">=1.20"\nx = "==1.*"\n[packages.y]\nversion = "*"\nextras = ["z"]\n'
    assert lines(plan(tmp_path, {"Pipfile": text})) == ["six", "numpy>=1.20", "x==1.*", "y[z]"]


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"default": []}', '{"default": {"a": 3}}', '{"default": {"--index-url=x": "*"}}']
)
def test_an_invalid_pipfile_lock_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BuildFailed):
        plan(tmp_path, {"Pipfile.lock": text})


def test_requirements_that_are_not_utf_8_are_refused_with_the_line(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed) as refused:
        plan(tmp_path, {"requirements.txt": b"six\n# caf\xe9\n"})
    assert refused.value.facts == {
        "step": "requirements.txt",
        "why": "line 2 is not UTF-8 text: save the file as UTF-8",
    }


@pytest.mark.parametrize("target", ["/etc/hostname", "../outside", "requirements.txt", "nowhere"])
def test_links_out_of_the_repository_are_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "outside").write_text("six")
    content = written(tmp_path / "content", {})
    (content / "requirements.txt").symlink_to(target)
    with pytest.raises(RepositoryUnusable, match=r"requirements\.txt is a link"):
        read_plan(content)


def test_a_binder_folder_that_links_outside_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "outside", {"postBuild": "x"})
    content = written(tmp_path / "content", {})
    (content / "binder").symlink_to("../outside")
    with pytest.raises(RepositoryUnusable, match="binder is a link"):
        read_plan(content)


def test_a_link_inside_the_repository_is_followed(tmp_path: Path) -> None:
    content = written(tmp_path / "content", {"deep/r.txt": "six"})
    (content / "requirements.txt").symlink_to("deep/r.txt")
    assert read_plan(content).requirements is not None


def test_huge_configuration_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RepositoryUnusable, match="over 1 MB"):
        plan(tmp_path, {"requirements.txt": b"#" * 1_000_001})


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("echo", ["/bin/sh", "{}"]),
        ("#!/bin/bash\n", ["/bin/bash", "{}"]),
        ("#! /bin/bash -e -x \n", ["/bin/bash", "-e -x", "{}"]),
        ("#!/usr/bin/env python3\n", ["/usr/bin/env", "python3", "{}"]),
    ],
)
def test_scripts_run_with_the_interpreter_of_their_first_line(tmp_path: Path, text: str, command: list[str]) -> None:
    script = written(tmp_path, {"postBuild": text}) / "postBuild"
    assert script_command(script, tmp_path) == [word.replace("{}", str(script)) for word in command]


def test_a_script_with_windows_line_endings_runs_from_a_copy(tmp_path: Path) -> None:
    script = written(tmp_path, {"postBuild": "#!/bin/bash -e\r\necho\r\n"}) / "postBuild"
    scratch = written(tmp_path / "scratch", {})
    assert script_command(script, scratch) == ["/bin/bash", "-e", str(scratch / "postBuild")]
    assert (scratch / "postBuild").read_bytes() == b"#!/bin/bash -e\necho\n"
    assert script.read_bytes() == b"#!/bin/bash -e\r\necho\r\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: &a [1]\ndependencies: [*a, *a]", "alias .*line 2"),
        ("a: &a {x: 1}\nb:\n  <<: [*a, *a]", "alias .*line 3"),
        ("dependencies: " + "[" * 12, "nested more than 10 deep"),
        ("#" * 200_001, "over 200,000 characters"),
        ("a: [", "is not YAML .line 2."),
    ],
)
def test_an_environment_yml_with_aliases_is_refused_with_the_line(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(BuildFailed, match=why) as raised:
        plan(tmp_path, {"binder/environment.yml": text})
    assert raised.value.facts["step"] == "binder/environment.yml"


@pytest.mark.parametrize(
    "text", ["", "dependencies:", "dependencies: ~", "dependencies: null", "dependencies: [{pip: }]"]
)
def test_an_environment_yml_without_requirements_is_accepted(tmp_path: Path, text: str) -> None:
    assert plan(tmp_path, {"environment.yml": text}) == Plan()


def test_versions_and_tags_in_environment_yml_are_read_as_text(tmp_path: Path) -> None:
    read = plan(tmp_path, {"environment.yml": "dependencies: [{pip: [!!python/name:os.system six, 3.10]}]"})
    assert lines(read) == ["six", "3.10"]


@pytest.mark.parametrize("value", ["[" * 5000 + "]" * 5000, "1" * 5000, "["])
@pytest.mark.parametrize("name", ["pyproject.toml", "Pipfile"])
def test_an_unreadable_toml_value_fails_the_build_with_the_file(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(BuildFailed) as raised:
        plan(tmp_path, {name: f"a = {value}"})
    assert raised.value.facts["step"] == name


@pytest.mark.parametrize("depth", [400, 900, 100_000])
def test_a_pipfile_lock_nested_too_deeply_fails_the_build_with_the_file(tmp_path: Path, depth: int) -> None:
    deep = "[" * depth + "]" * depth
    with pytest.raises(BuildFailed) as raised:
        plan(tmp_path, {"Pipfile.lock": f'{{"default": {{"a": {{"version": {deep}, "extras": 1}}}}, "develop": 1}}'})
    assert raised.value.facts["step"] == "Pipfile.lock"
