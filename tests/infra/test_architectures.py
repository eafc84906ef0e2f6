"""Tests of the functions' architectures: x86_64, which tests build and run, and arm64, for which they only look up
the packages.
"""

import subprocess
from pathlib import Path

import pytest

from infra.packages import library
from infra.packages.locked import PLATFORMS, install
from tests.infra.deployed.rights import TEMPLATE
from tests.serving.uv import UV


@pytest.mark.parametrize("architecture", ["x86_64", "arm64"])
def test_every_locked_package_has_a_wheel_for_the_architecture(architecture: str, tmp_path: Path) -> None:
    install(tmp_path, UV, library.WANTED, architecture, only_resolve=True)
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [], "nothing is installed"


def test_a_package_without_a_wheel_for_the_architecture_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PLATFORMS, "arm64", "riscv64-unknown-linux")  # for which few packages have wheels
    with pytest.raises(subprocess.CalledProcessError):
        install(tmp_path, UV, library.WANTED, "arm64", only_resolve=True)


def test_the_template_offers_the_architectures_that_packages_support() -> None:
    assert sorted(TEMPLATE["Parameters"]["Architecture"]["AllowedValues"]) == sorted(PLATFORMS)
