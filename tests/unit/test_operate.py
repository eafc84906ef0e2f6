"""The command `bindery`, which operators run, in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.serving.git_http import GitServer, git, make_repository

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    with GitServer(tmp_path_factory.mktemp("git")) as server:
        yield server


@pytest.fixture
def run(tmp_path: Path, server: GitServer) -> Run:
    """Return a function that runs `bindery`. Its keyword arguments are settings: `port="1"` is `BINDERY_PORT=1`."""

    def run(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        values = {"home": str(tmp_path / "home"), "allowed_private_hosts": server.address, **settings}
        environment = {**os.environ, **{f"BINDERY_{name.upper()}": value for name, value in values.items()}}
        return subprocess.run(
            [sys.executable, "-m", "bindery_local.command", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


def test_the_key_of_a_link_changes_only_with_the_inputs_of_its_build(run: Run, server: GitServer) -> None:
    spec = f"{quote(server.url('keyed.git'), safe='')}/HEAD"

    def key(**files: str) -> dict[str, object]:
        contents = {name.replace("_", "."): text for name, text in files.items()}
        commit = make_repository(server.root / "keyed.git", contents)
        ran = run("key", "git", spec)
        assert (ran.returncode, ran.stderr) == (0, "")
        result: dict[str, object] = json.loads(ran.stdout)
        assert result["ref"] == commit
        return result

    first = key(README_md="first\n", requirements_txt="iniconfig\n")
    read_again = key(README_md="second\n", requirements_txt="iniconfig\n")
    another = key(README_md="second\n", requirements_txt="iniconfig\ntoolz\n")
    assert first["key"] == read_again["key"] != another["key"]
    assert first["inputs"] == read_again["inputs"] != another["inputs"]
    assert first["depends_on"] == another["depends_on"] == "files"
    assert str(first["why"]).startswith("these files alone")
    assert (first["state"], first["image"]) == ("never built", "")
    inputs = first["inputs"]
    assert isinstance(inputs, dict)
    assert inputs.keys() == {"builder", "repository", "file requirements.txt"}
    whole = key(README_md="second\n", postBuild="true\n")
    assert whole["depends_on"] == "tree"
    assert str(whole["why"]).startswith("something in it may read any of its files")
    assert key(README_md="third\n", postBuild="true\n")["key"] != whole["key"]


def test_a_pull_request_shows_the_shared_key_and_its_own_build_key(run: Run, server: GitServer) -> None:
    commit = make_repository(server.root / "asked.git", {"requirements.txt": "iniconfig\n"})
    git("-C", server.root / "asked.git", "update-ref", "refs/pull/1/head", commit)
    make_repository(server.root / "asked.git", {"requirements.txt": "iniconfig\n", "more": ""})
    address = quote(server.url("asked.git"), safe="")
    head, pull = (json.loads(run("key", "git", f"{address}/{ref}").stdout) for ref in ("HEAD", "refs/pull/1/head"))
    assert pull["key"] == head["key"] == head["built_under"] != pull["built_under"]
    assert ("not known to be on a branch" in head["why"], "not known to be on a branch" in pull["why"]) == (False, True)


def test_a_server_without_listings_is_reported_as_needing_more_builds(run: Run, server: GitServer) -> None:
    make_repository(server.root / "whole.git", {"requirements.txt": "iniconfig\n"})
    git("config", "--file", server.root / "whole.git" / "config", "uploadpack.allowFilter", "false")
    result = json.loads(run("key", "git", f"{quote(server.url('whole.git'), safe='')}/HEAD").stdout)
    assert result["depends_on"] == "commit"
    assert "uploadpack.allowFilter" in result["why"]


@pytest.mark.parametrize(
    ("provider", "spec", "sentence"),
    [
        ("git", "nonsense", "nonsense does not name a repository: "),
        ("svn", "o/r/HEAD", "There is no kind of repository called svn here. Known are: "),
        ("git", "http%3A%2F%2F169.254.169.254%2Fr/HEAD", "Repositories are not fetched from 169.254.169.254: "),
        ("git", "file%3A%2F%2F%2Fetc/HEAD", "file:///etc does not name a repository: "),
    ],
)
def test_an_invalid_link_is_reported_in_one_sentence(run: Run, provider: str, spec: str, sentence: str) -> None:
    ran = run("key", provider, spec)
    assert ran.returncode == 1
    assert "BINDERY_ALLOWED_PRIVATE_HOSTS=169.254.169.254:80" in ran.stderr if "169.254" in spec else not ran.stderr
    assert ran.stdout.startswith(sentence)
    assert ran.stdout.count("\n") == 1


def test_a_missing_branch_is_reported_in_one_sentence(run: Run, server: GitServer) -> None:
    make_repository(server.root / "small.git", {"README.md": "small\n"})
    ran = run("key", "git", f"{quote(server.url('small.git'), safe='')}/nowhere")
    assert (ran.returncode, ran.stderr) == (1, "")
    assert "there is no branch, tag or commit called nowhere" in ran.stdout


def test_effective_settings_are_printed_without_secrets(run: Run) -> None:
    ran = run("settings", port="1234", secret="s3cret" * 6, github_token="t0ken")
    assert (ran.returncode, ran.stderr) == (0, "")
    result = json.loads(ran.stdout)
    assert (result["port"], result["builder"]) == (1234, "uv")
    assert result["secret"]
    assert result["github_token"]
    assert "s3cret" not in ran.stdout
    assert "t0ken" not in ran.stdout


@pytest.mark.parametrize("arguments", [("settings",), ("key", "git", "https%3A%2F%2Fexample.org%2Fr/HEAD")])
def test_an_invalid_setting_is_named_without_its_value(run: Run, arguments: tuple[str, ...]) -> None:
    ran = run(*arguments, port="many", spec_rules="s3cret")
    assert ran.returncode == 1
    assert "BINDERY_PORT: " in ran.stderr
    assert "BINDERY_SPEC_RULES: " in ran.stderr
    assert "s3cret" not in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "Value error" not in ran.stderr


@pytest.mark.parametrize("arguments", [(), ("nonsense",), ("key", "git")])
def test_an_unknown_command_prints_the_usage(run: Run, arguments: tuple[str, ...]) -> None:
    ran = run(*arguments)
    assert ran.returncode == 2
    assert ran.stderr.startswith("usage: bindery")


def test_a_misspelt_setting_is_reported_with_the_likely_name(run: Run) -> None:
    ran = run("settings", prot="1", allowed_private_host="a:1", nothing_like_it="2", session="x:y", test_kubeconfig="z")
    assert ran.returncode == 0
    assert ran.stderr.splitlines() == [
        "BINDERY_ALLOWED_PRIVATE_HOST is no setting and does nothing: did you mean BINDERY_ALLOWED_PRIVATE_HOSTS?",
        "BINDERY_NOTHING_LIKE_IT is no setting and does nothing: infra/docs/settings.md lists all settings.",
        "BINDERY_PROT is no setting and does nothing: did you mean BINDERY_PORT?",
    ]
    assert json.loads(ran.stdout)["port"] == 8585


def test_rules_are_added_listed_and_removed(run: Run) -> None:
    assert run("rules", "list").stdout == "The table holds no rules.\n"
    added = run("rules", "add", "ban", "^gh/evil/", "--for", "7d", "--why", "mining")
    assert (added.returncode, added.stderr) == (0, "")
    rule = added.stdout.partition(":")[0]
    run("rules", "add", "quota", "^gh/o/", "--quota", "3")
    header, ban, quota = (line.split("\t") for line in run("rules", "list").stdout.splitlines())
    assert header == ["id", "kind", "value", "quota", "ends", "why"]
    assert ban[:4] == [rule, "ban", "^gh/evil/", ""]
    assert ban[4].endswith(" UTC")
    assert ban[5] == "mining"
    assert quota[1:5] == ["quota", "^gh/o/", "3", "when removed"]
    assert run("rules", "remove", rule).returncode == 0
    assert rule not in run("rules", "list").stdout


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("add", "ban", "evil/"), "a pattern begins with"),
        (("add", "ban", "^gh/evil/", "--for", "soon"), "no duration"),
        (("add", "ban-network", "somewhere"), "IPv4 or IPv6 network"),
        (("add", "quota", "^gh/o/"), "quota"),
        (("remove", "0123456789"), "There is no rule"),
    ],
)
def test_an_invalid_rule_is_refused_with_a_message(run: Run, arguments: tuple[str, ...], word: str) -> None:
    ran = run("rules", *arguments)
    assert ran.returncode in (1, 2)
    assert word in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "Value error" not in ran.stderr
