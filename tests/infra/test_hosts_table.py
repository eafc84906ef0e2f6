"""Tests that the page on hosts holds the table that the code makes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bindery.adapters.hosts.registry import PROVIDERS
from bindery.adapters.http.client import GuardedClient
from bindery.cli.hosts_table import host_table
from bindery.ports.repository_provider import Display
from tests.serving.providers import every_provider

PAGE = Path(__file__).parents[2] / "infra" / "docs" / "hosts.md"


@pytest.fixture(scope="module")
def displays() -> list[tuple[str, Display]]:
    providers = every_provider(GuardedClient())
    return [(name, provider.display) for name, provider in providers.items()]


def test_the_page_contains_the_generated_table(displays: list[tuple[str, Display]]) -> None:
    assert host_table(displays) in PAGE.read_text(), "put in what `.venv/bin/bindery hosts` prints"


def test_every_provider_describes_its_specs_refs_and_retention(displays: list[tuple[str, Display]]) -> None:
    assert {name for name, _ in displays} == set(PROVIDERS)
    for name, display in displays:
        assert all((display.grammar, display.kept)), name
        assert display.refs, name
        assert re.fullmatch(display.regex, display.example), name


def test_the_command_prints_the_table(displays: list[tuple[str, Display]], tmp_path: Path) -> None:
    environment = {**os.environ, "BINDERY_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "bindery_local.command", "hosts"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == host_table(displays) + "\n"
