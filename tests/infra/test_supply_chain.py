"""Tests of supplies from others. One command pins images by digest, and an audit is a report that never fails."""

import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import yaml

from infra.supply import audit, pins
from tests.infra.deployed.rights import TEMPLATE
from tests.serving.loopback import Loopback, Quiet
from tests.serving.packages import ROOT
from tests.serving.uv import UV

ONE, TWO = (f"sha256:{digit * 64}" for digit in "12")


class _Handler(Quiet, BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        exists = self.path == "/v2/library/base/manifests/24.04"
        self.send_response_only(200 if exists else 404)
        self.send_header("Docker-Content-Digest", ONE)
        self.end_headers()


@pytest.fixture
def registry() -> Iterator[str]:
    with Loopback(_Handler) as server:
        yield server.address


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Provide a copy of the files that name images."""
    for place, _ in pins.PLACES:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text((ROOT / place).read_text())
    return tmp_path


def test_the_command_covers_every_image_in_use() -> None:
    """The manifests count with each image, the template with the image that repo2docker's images are based on."""
    names = {image.name for image in pins.images()}
    manifests = "".join(path.read_text() for path in (ROOT / "infra" / "kubernetes").rglob("*.yaml"))
    used = {reference.partition("@")[0] for reference in re.findall(r"\bimage: (\S+)", manifests)}
    assert used
    assert names == used | {TEMPLATE["Parameters"]["BaseImage"]["Default"].partition("@")[0]}


def test_the_digest_of_a_tag_comes_from_the_registry(registry: str) -> None:
    image = pins.Named(Path("x"), registry, "library/base", "24.04", "")
    assert pins.current(image, "http") == ONE
    with pytest.raises(LookupError, match="has no library/base:25"):
        pins.current(pins.Named(Path("x"), registry, "library/base", "25", ""), "http")


def test_pinning_and_updating_images_changes_only_their_digests(checkout: Path) -> None:
    before = {place: (checkout / place).read_text() for place, _ in pins.PLACES}
    assert pins.main([], checkout, lambda image: ONE) == 0
    assert {place: (checkout / place).read_text() for place, _ in pins.PLACES} == before, "only shown"
    for digest in (ONE, TWO):
        assert pins.main(["--write"], checkout, lambda image, digest=digest: digest) == 0  # type: ignore[misc]
        assert {image.digest for image in pins.images(checkout)} == {digest}
    after = {place: (checkout / place).read_text() for place, _ in pins.PLACES}
    unpinned = {place: text.replace(f"@{TWO}", "") for place, text in after.items()}
    assert unpinned == {place: re.sub(r"@sha256:[0-9a-f]{64}", "", text) for place, text in before.items()}
    workload = yaml.safe_load_all(after["infra/kubernetes/base/ended/workload.yaml"])
    assert f":1.28.0-alpine-slim@{TWO}" in str(list(workload))


def test_an_image_with_a_failing_registry_stays_unchanged(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def nobody(image: pins.Named) -> str:
        raise LookupError("no such tag")

    before = [image.digest for image in pins.images(checkout)]
    assert pins.main(["--write"], checkout, nobody) == 1
    assert [image.digest for image in pins.images(checkout)] == before
    assert "no such tag" in capsys.readouterr().out


def test_only_a_valid_digest_is_written(checkout: Path) -> None:
    with pytest.raises(ValueError, match="latest"):
        pins.pin(next(pins.images(checkout)), "latest")


@pytest.mark.parametrize("parameter", ["BaseImage", "BuildImage"])
def test_an_image_parameter_accepts_a_digest(parameter: str) -> None:
    about = TEMPLATE["Parameters"][parameter]
    assert "AllowedPattern" not in about
    assert "digest" in about["Description"]


def test_dependabot_updates_locked_packages_actions_and_manifest_images() -> None:
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())["updates"]
    watched = {each["package-ecosystem"]: each["directory"] for each in updates}
    assert watched.keys() == {"uv", "github-actions", "docker"}
    assert all((ROOT / directory.strip("/")).is_dir() for directory in watched.values())
    folders = {str(Path(place).parent) for place, _ in pins.PLACES if place.startswith("infra/")}
    assert folders == {watched["docker"].strip("/")}
    assert (ROOT / "uv.lock").is_file()


def test_an_audit_without_its_database_is_skipped_with_the_reason() -> None:
    with Loopback(_Handler) as server:
        nobody = f"http://{server.address}"
    line = audit.report(UV, str(ROOT / "pyproject.toml"), nobody)
    assert line.startswith(f"pip-audit: skipped: the advisory database {nobody} is out of reach (")
    assert "\n" not in line


def answering(tmp_path: Path, output: str, code: int) -> str:
    """Return a command that answers as pip-audit does."""
    command = tmp_path / "pip-audit"
    command.write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\nexit {code}\n")
    command.chmod(0o755)
    return str(command)


VULNERABLE = (
    '{"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1"}]}, {"name": "b", "version": "2"}]}'
)


@pytest.mark.parametrize(
    ("output", "code", "line"),
    [
        (VULNERABLE, 1, "pip-audit: 1 known vulnerabilities in 2 locked packages: a 1 CVE-1"),
        ('{"dependencies": []}', 0, "pip-audit: 0 known vulnerabilities in 0 locked packages"),
        ("no JSON", 0, "pip-audit: skipped: JSONDecodeError"),
        ("", 2, "pip-audit: skipped: CalledProcessError"),
    ],
)
def test_an_audit_report_is_always_one_line(registry: str, tmp_path: Path, output: str, code: int, line: str) -> None:
    report = audit.report(UV, answering(tmp_path, output, code), f"http://{registry}")
    assert report.startswith(line)
    assert "\n" not in report


def test_a_slow_audit_is_ended(registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "pip-audit"
    command.write_text("#!/bin/sh\nexec sleep 600\n")
    command.chmod(0o755)
    monkeypatch.setattr(audit, "AUDIT_SECONDS", 5)
    assert audit.report(UV, str(command), f"http://{registry}") == "pip-audit: skipped: no answer within 5 seconds"
