"""Tests that the project's statements about itself are true."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers" / "bindery" / "bindery"
README = ROOT / "README.md"
CONTRIBUTING = ROOT / ".github" / "CONTRIBUTING.md"


def run(*command: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_imports_follow_the_layers() -> None:
    ran = run(Path(sys.executable).parent / "lint-imports", "--no-cache")
    assert ran.returncode == 0, ran.stdout
    assert "0 broken" in ran.stdout


def test_make_help_lists_every_public_target() -> None:
    ran = run("make", "--no-print-directory", "help")
    assert (ran.returncode, ran.stderr) == (0, "")
    listed = dict(re.findall(r"^(\S+)\s+(\S.*)$", ran.stdout, re.MULTILINE))
    phony = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert listed.keys() == set(phony[0].split()) >= {"up", "test", "lint", "bench", "clean"}


def test_the_readme_begins_with_the_two_commands() -> None:
    block = README.read_text().split("```")[1]
    assert [line.partition("#")[0].strip() for line in block.strip().splitlines()] == ["make up", "make test"]
    assert README.read_text().index("```") < 40


@pytest.mark.parametrize(
    "page", [README, CONTRIBUTING, ROOT / "infra" / "docs" / "aws.md"], ids=["README", "CONTRIBUTING", "AWS"]
)
def test_every_make_command_named_on_a_page_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = set(re.findall(r"\bmake ([a-z-]+)", "\n".join(re.findall(r"`[^`]+`", page.read_text()))))
    assert commands <= targets
    assert commands


def test_all_paths_named_on_the_contributors_page_exist() -> None:
    text = CONTRIBUTING.read_text()
    tree = text.split("```")[1].splitlines()
    inside, paths = False, []
    for line in filter(str.strip, tree):
        indented, name = line.startswith("  "), line.split()[0]
        inside = indented and inside
        paths.append((PACKAGE if indented else ROOT) / name.replace("<verb>/", ""))
    folders = ("adapters", "usecases", "domain", "ports", "web", "functions", "tests", "infra", "bootstrap", "state")
    quoted = re.findall(r"`([\w./<>-]+/[\w./<>-]*)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    paths += [
        (ROOT if path.startswith(("functions", "tests", "infra", ".")) else PACKAGE) / path
        for path in quoted
        if path.startswith(folders) and "<" not in path
    ]
    assert len(paths) > 15
    missing = [path for path in paths if not path.exists() and not path.with_suffix(".py").exists()]
    assert missing == []


def test_the_contributors_page_names_every_part_of_the_package_and_the_tests() -> None:
    text = CONTRIBUTING.read_text()
    for folder in (PACKAGE, ROOT / "tests"):
        parts = [path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(("_", "."))]
        assert [part for part in parts if part not in text and part not in {"operate", "fakes", "serving"}] == []
