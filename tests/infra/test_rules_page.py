"""Tests that the code accepts the patterns and commands of the page on rules."""

import re
import shlex

import pytest

from bindery.cli import commands
from bindery.domain.rule_pattern import check_pattern
from tests.contract.test_repository_grammar import providers
from tests.serving.inits import ROOT

PAGE = (ROOT / "infra" / "docs" / "rules.md").read_text()
HERE = PAGE.partition("## Coming from BinderHub")[0]


@pytest.mark.parametrize("pattern", sorted({each for each in re.findall(r"`(\^[^`]*)`", HERE) if each != "^"}))
def test_a_pattern_on_the_page_is_accepted(pattern: str) -> None:
    check_pattern(pattern)


@pytest.mark.parametrize(("provider", "spec", "name"), re.findall(r"\| `/v2/(\w+)/([^`]*)` \| `([^`]*)` \|", PAGE))
def test_a_name_on_the_page_is_the_canonical_name(provider: str, spec: str, name: str) -> None:
    assert f"{provider}/{providers()[provider].canonical(spec)}" == name


def test_the_patterns_for_binderhub_lists_are_accepted() -> None:
    becomes = re.findall(r"becomes\s+(?:one pattern with a group: )?`(\^[^`]*)`", PAGE)
    assert len(becomes) == 4
    for pattern in becomes:
        check_pattern(pattern)


@pytest.mark.parametrize("line", re.findall(r"^\.venv/bin/bindery (rules .*)$", PAGE, re.MULTILINE))
def test_a_command_on_the_page_can_be_run(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bindery.cli.rules.show_rules", lambda: "shown")
    monkeypatch.setattr("bindery.cli.rules.add_rule", lambda *_: "added")
    monkeypatch.setattr("bindery.cli.rules.remove_rule", lambda _: "removed")
    assert commands.main(shlex.split(line)) == 0
