"""Environments that uv really makes."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bindery.domain.builds import BuildReport, BuildState
from bindery.domain.errors import BuildServiceDown, RepositoryUnusable
from bindery_builder.environments.uv_command import UvCommand
from bindery_local.builds.environments import BuiltEnvironment, environment_of
from tests.building import REF, Building, ordered
from tests.serving.conda_channel import served
from tests.serving.uv import UV

BUILT = '[build-system]\nrequires = ["setuptools"]\n'


@pytest.fixture
def building(tmp_path: Path) -> Iterator[Building]:
    building = Building(tmp_path)
    yield building
    building.close()


def built(building: Building, report: BuildReport) -> BuiltEnvironment:
    assert report.state is BuildState.SUCCEEDED, (report, building.queue.text)
    environment = environment_of(building.home, report.image)
    assert environment is not None
    return environment


def output_of(python: Path, code: str, folder: Path) -> str:
    """Return the output of the environment's Python, which is in another folder than the repository."""
    return subprocess.check_output([str(python), "-c", code], cwd=folder, text=True).strip()


def test_requirements_are_installed_with_jupyterlab_and_notebook(building: Building, tmp_path: Path) -> None:
    report = building.build({"requirements.txt": "-r more/other.txt\n", "more/other.txt": "six==1.17.0\n"})
    environment = built(building, report)
    assert report.image == "uv/env-1"
    assert output_of(
        environment.python, "import six, jupyterlab, notebook, nbgitpuller; print(six.__version__)", tmp_path
    )
    assert (environment.content, environment.home, environment.start, environment.ref) == (None, None, None, REF)
    assert sorted(path.name for path in environment.python.parents[2].iterdir() if path.name != "bytes") == ["venv"]
    assert output_of(environment.python, "import sys; print(sys.prefix)", tmp_path) == str(
        environment.python.parents[1]
    )


def test_log_lines_have_the_order_of_the_build(building: Building) -> None:
    built(building, building.build({"requirements.txt": "six\n"}))
    lines = building.queue.lines
    assert (lines[0].number, lines[0].phase, lines[0].message) == (0, "fetching", "Picked Git content provider.\n")
    assert [line.phase for line in lines] == sorted((line.phase for line in lines), key=["fetching", "building"].index)
    assert any(line.message.startswith(" + six==") for line in lines)
    assert str(building.home) not in building.queue.text


@pytest.mark.parametrize("name", ["setup.py", "pyproject.toml"])
def test_the_own_package_is_installed_without_extra_files_in_the_copy(
    building: Building, tmp_path: Path, name: str
) -> None:
    files = {
        "setup.py": "from setuptools import setup\nsetup(name='own', version='1', py_modules=['own'])\n",
        "pyproject.toml": BUILT + '[project]\nname = "own"\nversion = "1"\n[tool.setuptools]\npy-modules = ["own"]\n',
    }
    environment = built(building, building.build({name: files[name], "own.py": "VALUE = 42\n"}, scope="tree"))
    assert environment.content is not None
    assert sorted(path.name for path in environment.content.iterdir()) == ["own.py", name]
    assert output_of(environment.python, "import own; print(own.VALUE)", tmp_path) == "42"
    assert not (environment.python.parents[2] / "project").exists()


def test_an_editable_install_of_the_repository_works(building: Building, tmp_path: Path) -> None:
    files = {
        "binder/requirements.txt": "-e .\n",
        "own.py": "VALUE = 7\n",
        "pyproject.toml": BUILT + '[project]\nname="own"\nversion="1"\n[tool.setuptools]\npy-modules=["own"]\n',
    }
    environment = built(building, building.build(files, scope="tree"))
    assert output_of(environment.python, "import own; print(own.VALUE)", tmp_path) == "7"


def test_the_pip_part_of_environment_yml_is_installed(building: Building, tmp_path: Path) -> None:
    text = "dependencies:\n  - python\n  - pip:\n    - -r more.txt\n"
    environment = built(building, building.build({"binder/environment.yml": text, "binder/more.txt": "six\n"}))
    assert output_of(environment.python, "import six; print(six.__name__)", tmp_path) == "six"


def test_post_build_runs_in_the_copy_with_the_commands_of_the_environment(building: Building, tmp_path: Path) -> None:
    files = {
        "postBuild": "#!/bin/sh\nset -e\npython -c 'import sys; print(sys.prefix)' > made\necho x > $HOME/at-home\n"
        "python -m pip --version\ncd $REPO_DIR\npwd\n",
        "start": '#!/bin/sh\nexec "$@"\n',
    }
    environment = built(building, building.build(files, scope="tree"))
    assert environment.content is not None
    assert environment.home is not None
    assert (environment.content / "made").read_text().strip() == str(environment.python.parents[1])
    assert (environment.home / "at-home").read_text() == "x\n"
    assert environment.start == Path("start")
    assert "Running postBuild\n" in building.queue.text


def test_post_build_cannot_reach_uvs_cache_through_installed_files(building: Building) -> None:
    environment = built(building, building.build({"requirements.txt": "six", "postBuild": "true"}, scope="tree"))
    (six,) = environment.python.parents[1].glob("lib/python*/site-packages/six.py")
    assert six.stat().st_nlink == 1


def test_runtime_txt_selects_another_installed_python(building: Building, tmp_path: Path) -> None:
    uv = UvCommand(UV, tmp_path)
    others = [version for version in ("3.13", "3.12", "3.11") if version != uv.default_version and uv.python(version)]
    if not others:
        pytest.skip("only one Python is on this machine")
    environment = built(building, building.build({"runtime.txt": f"python-{others[0]}\n"}))
    assert output_of(environment.python, "import sys; print('%d.%d' % sys.version_info[:2])", tmp_path) == others[0]


@pytest.mark.parametrize(
    ("files", "file", "needs"),
    [
        ({"install.R": "1"}, "install.R", "R"),
        ({"binder/apt.txt": "vim"}, "binder/apt.txt", "Debian packages (vim)"),
    ],
)
def test_unsupported_requirements_fail_with_their_facts(
    building: Building, files: dict[str, str | bytes], file: str, needs: str
) -> None:
    failure = building.build(files).failure
    assert failure is not None
    assert failure.kind == "CannotBuild"
    assert (failure.facts["file"], failure.facts["needs"]) == (file, needs)
    assert failure.facts["install"]


def test_a_missing_package_is_named(building: Building) -> None:
    report = building.build({"requirements.txt": "six\nbindery-no-such-package-anywhere==3\n"})
    assert report.failure is not None
    assert report.failure.kind == "BuildFailed"
    assert report.failure.facts["step"] == "requirements.txt"
    assert str(report.failure.facts["why"]).startswith("Because bindery-no-such-package-anywhere was not found")


def test_requirements_that_conflict_with_jupyterlab_are_installed_first(building: Building, tmp_path: Path) -> None:
    environment = built(building, building.build({"requirements.txt": "six==1.16.0\nidna==2.7\n"}))
    assert "it goes in second" in building.queue.text
    assert output_of(environment.python, "import jupyterlab, six; print(six.__version__)", tmp_path) == "1.16.0"


def test_a_conflict_with_a_long_explanation_is_recognised(building: Building, tmp_path: Path) -> None:
    environment = built(building, building.build({"requirements.txt": "requests==2.18.4\n"}))
    assert "it goes in second" in building.queue.text
    assert output_of(environment.python, "import jupyterlab, ipywidgets, pkg_resources", tmp_path) == ""


def test_the_best_version_of_all_indexes_is_installed(building: Building, tmp_path: Path) -> None:
    names = tmp_path / "index" / "simple" / "six"
    names.mkdir(parents=True)
    (names / "index.html").write_text('<a href="six-1.10.0-py3-none-any.whl">six-1.10.0-py3-none-any.whl</a>')
    with served(tmp_path / "index") as address:
        files = {"requirements.txt": f"--extra-index-url {address}/simple\nsix==1.17.0\n"}
        environment = built(building, building.build(files))
    assert output_of(environment.python, "import six; print(six.__version__)", tmp_path) == "1.17.0"


def test_a_pinned_setuptools_is_kept(building: Building, tmp_path: Path) -> None:
    environment = built(building, building.build({"requirements.txt": "setuptools==82.0.0\n"}))
    code = "from importlib.metadata import version; print(version('setuptools'))"
    assert output_of(environment.python, code, tmp_path) == "82.0.0"


def test_a_project_without_a_build_system_brings_only_its_dependencies(building: Building, tmp_path: Path) -> None:
    project = '[project]\nname = "notes"\nversion = "1"\ndependencies = ["six==1.16.0"]\n'
    files = {"pyproject.toml": project, "requirements.txt": "idna==3.7\n", "lessons/a.py": "", "data/b.py": ""}
    environment = built(building, building.build(files, scope="tree"))
    code = "import six, idna; print(six.__version__, idna.__version__)"
    assert output_of(environment.python, code, tmp_path) == "1.16.0 3.7"


def test_a_failing_setup_is_reported_with_its_reason(building: Building) -> None:
    report = building.build({"setup.py": "raise SystemExit('boom from setup')\n"}, scope="tree")
    assert report.failure is not None
    assert report.failure.facts["step"] == "setup.py"
    assert "boom from setup" in str(report.failure.facts["why"])


def test_an_unreadable_repository_is_reported(building: Building) -> None:
    folder = building.repository({})
    (folder / "requirements.txt").symlink_to("/etc/hostname")
    order = ordered(folder, scope="tree")
    building.builds.start(order)
    report = building.wait(order)
    assert report.failure is not None
    assert report.failure.kind == RepositoryUnusable.__name__
    assert not list((building.home / "store").iterdir())


def test_uv_settings_of_the_repository_are_ignored(building: Building) -> None:
    files = {
        "requirements.txt": "six\n",
        "uv.toml": "no-index = true\n",
        "pyproject.toml": '[tool.uv]\nindex-url = "http://127.0.0.1:9/"\n',
        ".python-version": "3.3\n",
    }
    built(building, building.build(files))


def test_credentials_do_not_reach_a_build(building: Building, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "BINDERY_SECRET",
        "AWS_SECRET_ACCESS_KEY",
        "GITHUB_TOKEN",
        "SSH_AUTH_SOCK",
        "UV_INDEX_PRIVATE_PASSWORD",
    ):
        monkeypatch.setenv(name, "seen-by-the-build")
    environment = built(building, building.build({"postBuild": "env > variables"}, scope="tree"))
    assert environment.content is not None
    variables = (environment.content / "variables").read_text()
    assert "seen-by-the-build" not in variables
    assert f"HOME={building.home}" in variables
    assert f"HOME={os.environ['HOME']}\n" not in variables


def test_without_uv_no_build_starts(tmp_path: Path) -> None:
    building = Building(tmp_path, uv=str(tmp_path / "no-uv"))
    with pytest.raises(BuildServiceDown, match="uv is not"):
        building.builds.start(ordered(building.repository({})))
    building.builds.close()
