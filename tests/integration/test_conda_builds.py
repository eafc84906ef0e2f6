"""Conda environments: solved and installed by py-rattler from channels on loopback, completed by uv."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bindery.domain.builds import BuildReport, BuildState
from bindery_builder.task import Manifest
from bindery_local.builds.environments import BuiltEnvironment, environment_of
from tests.building import Building, ordered, uv_that_installs_nothing
from tests.serving.conda_channel import MINOR, SITE, Channel, served

ACTIVATE = 'export TOOLBOX_DATA="$CONDA_PREFIX/share/toolbox"\nexport PATH="$CONDA_PREFIX/opt/bin:$PATH"\n'

SETS = """\
export BYTES="$(printf '\\377')x" LATER=1 HOME=/nowhere TMPDIR=/nowhere UV_CACHE_DIR=/nowhere BINDERY_BUILD=/nowhere
shout() { :; }
export -f shout
"""


@pytest.fixture(scope="module")
def channels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two channels: `conda-forge` without JupyterLab, and `science`. Returns their address."""
    folder = tmp_path_factory.mktemp("channels")
    forge = Channel(folder / "conda-forge")
    forge.python()
    forge.add("pip", "24.0", {"share/pip": ""}, ("python",))
    forge.module("greeting", "1.0")
    forge.module("greeting", "2.0")
    forge.index()
    science = Channel(folder / "science")
    science.module("greeting", "1.5")
    science.module("needs_old_greeting", "1", ("python", "greeting <2"))
    science.add("toolbox", "1", {"etc/conda/activate.d/toolbox.sh": ACTIVATE, "share/toolbox/data": "x"})
    science.index()
    hostile = Channel(folder / "hostile")
    hostile.add("greeting", "2.0", {"site-packages/greeting.py": 'version = "hostile"'}, ("python",), kind="python")
    hostile.add("absolute", "1", {f"{folder}/outside": "x"})
    hostile.add("upwards", "1", {"../../../outside": "x"})
    hostile.add("ender", "1", {"etc/conda/activate.d/a.sh": "exit 0\n"})
    hostile.add("pipe", "1", {"etc/conda/activate.d/a.sh": 'mkfifo "$1"\nexit 0\n'})
    hostile.add("setter", "1", {"etc/conda/activate.d/a.sh": SETS})
    hostile.index(hashes=False)
    odd = Channel(folder / "odd-python")
    odd.python("dev")
    odd.index()
    with served(folder) as address:
        yield address


@pytest.fixture
def building(tmp_path: Path, channels: str) -> Iterator[Building]:
    building = Building(tmp_path, conda_channels=channels)
    yield building
    building.close()


@pytest.fixture
def quick_building(tmp_path: Path, channels: str) -> Iterator[Building]:
    """Builds that install no JupyterLab, for tests of the steps before."""
    building = Building(tmp_path, conda_channels=channels, uv=uv_that_installs_nothing(tmp_path))
    yield building
    building.close()


def environment_yml(dependencies: list[object], channels: tuple[str, ...] = ()) -> str:
    return json.dumps({"channels": list(channels), "dependencies": dependencies})


def built(building: Building, report: BuildReport) -> BuiltEnvironment:
    assert report.state is BuildState.SUCCEEDED, (report, building.queue.text)
    environment = environment_of(building.home, report.image)
    assert environment is not None
    return environment


def why(building: Building, report: BuildReport) -> str:
    assert report.failure is not None, building.queue.text
    assert report.failure.facts["step"] in {"environment.yml", "runtime.txt"}
    return str(report.failure.facts["why"])


def printed(python: Path, code: str, folder: Path) -> str:
    return subprocess.check_output([str(python), "-c", code], cwd=folder, text=True).strip()


def test_conda_and_pip_packages_and_jupyterlab_are_in_one_environment(
    building: Building, tmp_path: Path, channels: str
) -> None:
    text = environment_yml(["greeting=1.*", "toolbox", {"pip": ["six==1.16.0"]}], ("science", "nodefaults"))
    files = {"environment.yml": text.replace("nodefaults", "conda-forge")}
    files["postBuild"] = '#!/bin/sh\nprintf %s "$TOOLBOX_DATA" > "$NB_PYTHON_PREFIX/seen"\n'
    environment = built(building, building.build(files, scope="tree"))
    prefix = environment.python.parents[1]
    code = "import greeting, six, jupyterlab, nbgitpuller; print(greeting.version, six.__version__)"
    assert printed(environment.python, code, tmp_path) == "1.5 1.16.0"
    assert (prefix / "seen").read_text() == str(prefix / "share/toolbox")
    assert environment.variables["TOOLBOX_DATA"] == str(prefix / "share/toolbox")
    assert environment.variables["PATH"].startswith(f"{prefix}/opt/bin:")
    assert environment.variables["CONDA_PREFIX"] == str(prefix)
    manifest = Manifest.model_validate_json((building.home / "environments" / "env-1.json").read_bytes())
    greeting = next(package for package in manifest.conda_packages if package.name == "greeting")
    assert greeting.url == f"{channels}/science/noarch/greeting-1.5-0.tar.bz2"
    assert len(greeting.sha256) == 64
    assert (prefix / SITE / "greeting.py").stat().st_nlink == 1


def test_a_spec_may_name_its_channel(building: Building, tmp_path: Path) -> None:
    environment = built(building, building.build({"environment.yml": environment_yml(["science::greeting"])}))
    assert printed(environment.python, "import greeting; print(greeting.version)", tmp_path) == "1.5"


def test_an_earlier_channel_has_priority(building: Building, tmp_path: Path) -> None:
    text = environment_yml(["greeting"], ("science", "conda-forge"))
    environment = built(building, building.build({"environment.yml": text}))
    assert printed(environment.python, "import greeting; print(greeting.version)", tmp_path) == "1.5"


@pytest.mark.parametrize(
    ("dependencies", "reason"),
    [
        (["no-such-package"], "No candidates were found for no-such-package *."),
        (["greeting=9"], "No candidates were found for greeting 9.*."),
        (["science::needs_old_greeting", "greeting=2.*"], "needs_old_greeting"),
        (["greeting==1..2"], "version"),
    ],
)
def test_an_impossible_request_is_explained(building: Building, dependencies: list[object], reason: str) -> None:
    assert reason in why(building, building.build({"environment.yml": environment_yml(dependencies)}))


@pytest.mark.parametrize(
    ("files", "before"),
    [
        ({"environment.yml": environment_yml(["python=2.6", "greeting"])}, ""),
        ({"environment.yml": environment_yml(["python=2.6"])}, "Python 2.6 is not on this machine, and "),
        ({"runtime.txt": "python-2.6"}, "Python 2.6 is not on this machine, and "),
    ],
)
def test_a_missing_python_is_answered_with_the_nearest_version(
    building: Building, files: dict[str, str], before: str
) -> None:
    reason = f"{before}no channel has its Python; the nearest is {MINOR}"
    assert why(building, building.build(files)) == reason


@pytest.mark.parametrize(
    ("channel", "reason"),
    [
        ("file:///root/channel", "is no channel"),
        ("../channel", "is no channel"),
        ("https://me:secret@example.org/channel", "holds a password"),
        ("no-such-channel", "no-such-channel"),
        ("http://127.0.0.1:9/channel", "127.0.0.1:9"),
    ],
)
def test_an_unusable_channel_is_refused_with_a_reason(building: Building, channel: str, reason: str) -> None:
    text = environment_yml(["greeting"], (channel,))
    found = why(building, building.build({"environment.yml": text}))
    assert reason in found
    assert "secret" not in found


def test_a_second_build_takes_its_packages_from_the_cache(building: Building) -> None:
    text = environment_yml(["greeting"], ("conda-forge",))
    built(building, building.build({"environment.yml": text}))
    cached = next((building.home / "conda").glob("**/greeting.py"))
    written_at = cached.stat().st_mtime_ns
    order = ordered(building.repository({"environment.yml": text}, "second"), "second")
    building.builds.start(order)
    built(building, building.wait(order))
    assert cached.stat().st_mtime_ns == written_at


@pytest.mark.parametrize(
    "spec",
    [
        "greeting[url=file:///{folder}/greeting-1.0-0.tar.bz2]",
        "file:///{folder}/greeting-1.0-0.tar.bz2",
        "greeting[url={folder}/greeting-1.0-0.tar.bz2]",
        "greeting[url='file:\\\\{folder}\\greeting-1.0-0.tar.bz2']",
        "greeting[channel='file:///{folder}']",
        "greeting[url=https://me:secret@example.org/greeting-1.0-0.tar.bz2]",
        "https://me:secret@example.org/greeting-1.0-0.tar.bz2",
        "greeting " + "(" * 20_000 + ">1" + ")" * 20_000,
    ],
)
def test_a_package_on_this_machine_or_with_a_password_is_refused(
    quick_building: Building, tmp_path: Path, spec: str
) -> None:
    own = Channel(tmp_path)
    own.module("greeting", "1.0")
    text = environment_yml([spec.replace("{folder}", str(tmp_path / "noarch"))])
    found = why(quick_building, quick_building.build({"environment.yml": text}))
    assert "is no conda package" in found or "holds a password" in found
    assert "secret" not in found + quick_building.queue.text


def test_a_package_may_have_a_public_address(quick_building: Building, channels: str) -> None:
    text = environment_yml(["python", f"{channels}/science/noarch/greeting-1.5-0.tar.bz2"])
    environment = built(quick_building, quick_building.build({"environment.yml": text}))
    assert (environment.python.parents[1] / SITE / "greeting.py").read_text() == 'version = "1.5"\n'


def test_a_package_of_one_channel_is_not_taken_for_that_of_another(quick_building: Building) -> None:
    """A channel without hashes would otherwise decide what later builds get from conda-forge."""
    versions = []
    for channel in ("hostile", "conda-forge"):
        text = environment_yml(["greeting=2.0"], (channel,))
        order = ordered(quick_building.repository({"environment.yml": text}, channel), channel)
        quick_building.builds.start(order)
        environment = built(quick_building, quick_building.wait(order))
        versions.append((environment.python.parents[1] / SITE / "greeting.py").read_text().strip())
    assert versions == ['version = "hostile"', 'version = "2.0"']


@pytest.mark.parametrize("damage", ["", "truncated"])
def test_a_damaged_package_in_the_cache_is_downloaded_again(quick_building: Building, damage: str) -> None:
    folder = quick_building.repository({"environment.yml": environment_yml(["greeting=2.0"])})
    for name in ("first", "second"):
        quick_building.builds.start(order := ordered(folder, name))
        environment = built(quick_building, quick_building.wait(order))
        assert (environment.python.parents[1] / SITE / "greeting.py").read_text() == 'version = "2.0"\n'
        cached = next((quick_building.home / "conda").glob("**/greeting.py"))
        cached.write_text(damage) if damage else cached.unlink()


@pytest.mark.parametrize(
    ("package", "reason"),
    [
        ("absolute", "the installer of conda packages crashed: All inserted paths must be relative"),
        ("upwards", "failed to link upwards-1-0.tar.bz2"),
    ],
)
def test_a_package_with_files_outside_is_refused_with_the_true_reason(
    quick_building: Building, package: str, reason: str
) -> None:
    found = why(quick_building, quick_building.build({"environment.yml": environment_yml([package], ("hostile",))}))
    assert found.startswith(reason)
    assert f"{quick_building.home}/store" not in found
    assert not list((quick_building.home / "store").rglob("outside"))


@pytest.mark.parametrize("package", ["ender", "pipe"])
def test_an_activation_script_that_ends_the_shell_is_named(quick_building: Building, package: str) -> None:
    report = quick_building.build({"environment.yml": environment_yml([package], ("hostile",))}, seconds=60)
    assert report.failure is not None
    assert report.failure.facts["step"] == "activation scripts"


def test_an_activation_script_changes_no_variable_of_the_build(quick_building: Building) -> None:
    report = quick_building.build({"environment.yml": environment_yml(["setter"], ("hostile",))}, seconds=60)
    variables = built(quick_building, report).variables
    assert variables.keys() == {"CONDA_PREFIX", "CONDA_DEFAULT_ENV", "BYTES", "LATER"}
    assert variables["BYTES"].endswith("x")


def test_a_channel_with_an_odd_version_of_python_has_no_nearest_one(quick_building: Building) -> None:
    text = environment_yml(["python=2.6", "greeting"], ("odd-python",))
    found = why(quick_building, quick_building.build({"environment.yml": text}))
    assert "ValueError" not in found
    assert "Python" in found or "python" in found


def test_an_address_that_is_no_address_is_explained(quick_building: Building) -> None:
    text = environment_yml(["greeting"], ("http://127.0.0.1:99999/channel",))
    assert "could not parse url" in why(quick_building, quick_building.build({"environment.yml": text}))
    assert "Traceback" not in quick_building.queue.text
