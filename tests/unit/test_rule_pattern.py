"""The patterns of rules: those that are refused at the start, and the names that each matches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindery.adapters.hosts.registry import PROVIDERS as REGISTERED
from bindery.domain.rule_pattern import LONGEST_PATTERN, PROVIDERS, check_pattern, matches


def test_patterns_accept_exactly_the_registered_providers() -> None:
    assert tuple(REGISTERED) == PROVIDERS


@pytest.mark.parametrize(
    "pattern",
    [
        "^gh/acme/",
        "^(gh|gl)/acme/",
        "^(?:gh|gl|git)/.*crypto",
        "^git/https://forge\\.example/(good|better)/",
        "^gh/(a|b)/[|]x",
        r"^gh/a\|b/",
        "^gh/[]|]/",
        "^gh/[^]|]/",
        r"^gh/[\]|]/",
        "^zenodo/10\\.5281/",
    ],
)
def test_a_pattern_for_named_providers_is_accepted(pattern: str) -> None:
    assert check_pattern(pattern) == pattern


@pytest.mark.parametrize(
    ("pattern", "word"),
    [
        ("acme/", "begins with"),
        ("^acme/", "no provider"),
        ("gh/acme/", "begins with"),
        (".*acme", "begins with"),
        ("^.*/acme/", "begins with"),
        ("^gh", "begins with"),
        ("^gh|gl/", "begins with"),
        ("^(gh|github)/acme/", "no provider"),
        ("^github/acme/", "no provider"),
        ("^gh/acme/|gl/", "parentheses"),
        ("^gh/acme/|^gl/acme/", "parentheses"),
        ("^gh/(a|b)/|c", "parentheses"),
        ("^gh/[a]|b", "parentheses"),
        ("^gh/(", "regular expression"),
        ("^gh/" + "a" * LONGEST_PATTERN, "characters"),
        ("", "begins with"),
    ],
)
def test_a_pattern_that_could_match_another_provider_is_refused(pattern: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        check_pattern(pattern)


@given(st.text(alphabet="ab/|()[]^\\?:.*-", max_size=12), st.text(alphabet="ab/|()[]^\\", max_size=12))
def test_an_accepted_pattern_matches_no_other_provider(rest: str, spec: str) -> None:
    pattern = f"^gh/{rest}"
    try:
        check_pattern(pattern)
    except ValueError:
        return
    assert not matches(pattern, f"gl/{spec}")


def test_patterns_ignore_case() -> None:
    assert matches("^gh/Acme/", "gh/acme/x/HEAD")
    assert not matches("^gh/acme/", "gist/acme/x")
