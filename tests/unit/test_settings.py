"""Settings as they are read from variables."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from bindery.settings import Settings

README = Path(__file__).parents[2] / "README.md"


def test_without_variables_everything_has_its_default() -> None:
    assert Settings.read({}) == Settings()


def test_an_empty_variable_counts_as_absent() -> None:
    assert Settings.read({"BINDERY_PORT": ""}).port == 8585


def test_lists_are_json_or_words() -> None:
    read = Settings.read({"BINDERY_BANNED_SPECS": '["^evil/"]', "BINDERY_BAN_NETWORKS": "10.0.0.0/8, 192.0.2.0/24"})
    assert read.banned_specs == ("^evil/",)
    assert read.ban_networks == ("10.0.0.0/8", "192.0.2.0/24")


def test_spec_rules_are_in_binderhubs_words() -> None:
    (rule,) = Settings.read({"BINDERY_SPEC_RULES": '[{"pattern": "^o/", "config": {"quota": 3}}]'}).spec_rules
    assert (rule.pattern, rule.config.quota) == ("^o/", 3)


@pytest.mark.parametrize("none", ["0", ""])
def test_a_limit_of_nothing_is_no_limit(none: str) -> None:
    read = Settings.read({"BINDERY_QUOTA_TOTAL": none or "0"})
    assert read.quota_total is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "many"),
        ("BUILDER", "magic"),
        ("BANNED_SPECS", '["a"'),
        ("IDLE_SECONDS", "-1"),
        ("SPEC_RULES", "[{}]"),
        ("BANNED_SPECS", '["("]'),
        ("BAN_NETWORKS", "nowhere"),
        ("QUOTA_TOTAL", "-3"),
        ("GITHUB_API_URL", "nonsense"),
        ("LOG_LEVEL", "LOUD"),
        ("QUEUES", "nope"),
        ("SECRET", "short"),
    ],
)
def test_a_value_that_cannot_be_used_names_its_setting(name: str, value: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.read({f"BINDERY_{name}": value})
    assert refused.value.errors()[0]["loc"][0] == name.lower()


def test_secrets_do_not_show() -> None:
    read = Settings.read({"BINDERY_SECRET": "s3cret" * 6, "BINDERY_GITHUB_TOKEN": "t0ken"})
    assert "s3cret" not in f"{read!r} {read.model_dump_json()}"
    assert "t0ken" not in f"{read!r} {read.model_dump_json()}"


def test_the_readme_lists_each_setting_with_its_meaning() -> None:
    rows = dict(re.findall(r"^\| `BINDERY_(\w+)` \| [^|]*\| (.*) \|$", README.read_text(), re.MULTILINE))
    assert rows == {name.upper(): field.description for name, field in Settings.model_fields.items()}
