"""Tests of the threat model. Each test that it names exists."""

import re

import pytest

from tests.serving.inits import ROOT

PAGE = (ROOT / "infra" / "docs" / "security.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


def test_the_page_names_tests_for_its_defences() -> None:
    assert len(NAMED) > 40


@pytest.mark.parametrize(("file", "test"), NAMED, ids=[f"{file}::{test}" for file, test in NAMED])
def test_every_named_test_exists(file: str, test: str) -> None:
    assert re.search(rf"^def {test}\(", (ROOT / file).read_text(), re.MULTILINE)


def test_every_row_of_an_attack_names_a_test_or_a_reason_for_none() -> None:
    rows = [
        line
        for line in PAGE.splitlines()
        if re.match(r"\| (author|fork|page|client|host|session|neighbour)\b.* \|", line)
    ]
    attacks = [row for row in rows if row.count(" | ") >= 3]
    assert attacks
    assert [row for row in attacks if "`tests/" not in row and "none: " not in row] == []
