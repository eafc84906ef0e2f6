"""Tests of the page on AWS. Following it to the letter leads to a stack."""

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bindery.settings import Settings
from tests.infra.deployed.rights import FUNCTIONS, TEMPLATE
from tests.infra.deployed.variables import holds, variables
from tests.serving.packages import ROOT, sam

DOCS = ROOT / "infra" / "docs"
PAGES = [DOCS / "aws.md", DOCS / "operations.md", ROOT / "README.md"]
PAGE = PAGES[0].read_text()
SAMS_READING = """
import json, sys
from samcli.cli.types import CfnParameterOverridesType
print(json.dumps(CfnParameterOverridesType().convert(tuple(sys.argv[1:]), None, None)))
"""
REGISTRY = "https://123456789012.dkr.ecr.eu-central-1.amazonaws.com/bindery"


def blocks(kind: str, text: str = PAGE) -> list[str]:
    """Return the texts between fences of this kind, without their indentation and with continued lines joined."""
    fenced = re.findall(rf"^( *)```{kind}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{margin}", "", body, flags=re.MULTILINE).replace("\\\n", "") for margin, body in fenced]


def saved_settings() -> dict[str, Any]:
    """Return the parameters that `sam deploy` reads from the page's file."""
    (file,) = blocks("toml")
    return dict(tomllib.loads(file)["default"]["deploy"]["parameters"])


def read_by_sam(words: list[str]) -> dict[str, str]:
    output = subprocess.run(
        [sam().parent / "python", "-c", SAMS_READING, *words], capture_output=True, text=True, check=True
    )
    return dict(json.loads(output.stdout))


def test_every_parameter_named_on_the_page_exists() -> None:
    mentioned = set(re.findall(r"\b([A-Z][a-z]+[A-Za-z]*)=(?!=)", PAGE))
    listed = {
        name
        for row in re.findall(r"^\| ((?:`[A-Z]\w+`(?:, | and | or )?)+) \|", PAGE, re.MULTILINE)
        for name in re.findall(r"\w+", row)
    } - {"and", "or"}
    assert {
        "SessionsUrl",
        "KubeconfigSecret",
        "GithubPrivate",
        "GitlabPrivate",
        "WebAdapterLayer",
    } <= mentioned | listed
    assert (mentioned | listed) - TEMPLATE["Parameters"].keys() == set()


def test_the_deploy_command_and_the_configuration_file_have_equal_options() -> None:
    (deploy,) = [line for block in blocks("sh") for line in block.splitlines() if "sam deploy --" in line]
    words, _, overrides = deploy.partition(" --parameter-overrides ")
    options = saved_settings()
    assert options["parameter_overrides"] == overrides.split()
    assert "--resolve-s3" in words.split()
    assert "--guided" not in words
    assert options["resolve_s3"] is True
    for name in ("stack_name", "region", "capabilities"):
        assert f" --{name.replace('_', '-')} {options[name]} " in f"{words} "


def test_the_configuration_file_gives_valid_settings_for_all_functions() -> None:
    parameters = read_by_sam(saved_settings()["parameter_overrides"])
    assert parameters.keys() == {"SessionsUrl", "EksCluster", "AlarmEmail"}
    for name, rule in TEMPLATE["Rules"].items():
        if holds(rule.get("RuleCondition", {"Equals": ["", ""]}), parameters):
            assert all(holds(each["Assert"], parameters) for each in rule["Assertions"]), name
    for function in FUNCTIONS:
        settings = Settings.read({**variables(function, **parameters), "BINDERY_REGISTRY": REGISTRY})
        assert (settings.sessions_url, settings.eks_cluster) == ("https://sessions.example.net", "sessions")
        assert settings.allowed_specs == (), "the first launch is not forbidden by the example"


def test_a_value_with_quotes_is_written_as_sam_reads_it() -> None:
    (line,) = re.findall(r"^    # (\"\w+=.*\"),$", PAGE, re.MULTILINE)
    parameters = read_by_sam([tomllib.loads(f"word = {line}")["word"]])
    settings = Settings.read({**variables("ResolveRepository", **parameters), "BINDERY_REGISTRY": REGISTRY})
    assert settings.allowed_specs == ("^gh/acme/",)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_all_commands_of_a_page_use_one_stack_and_one_region(page: Path) -> None:
    text = page.read_text()
    assert set(re.findall(r"--stack-name ([\w-]+)", text)) == {"bindery"}
    assert set(re.findall(r"--region ([\w-]+)", text)) == {"eu-central-1"}
    speaking = re.findall(r"sam (?:deploy --s|delete|logs|list)[^`\n]*|aws cloudformation[^`\n]*", text)
    assert speaking
    assert [command for command in speaking if "--stack-name" not in command] == []
