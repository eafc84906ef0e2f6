"""Settings that are read from environment variables."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from bindery.cli import commands
from bindery.cli.settings_table import GROUPS, settings_tables
from bindery.domain.resources import Resources, Toleration
from bindery.presets import PRESETS
from bindery.settings import Settings
from bindery_local import template

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "infra" / "docs" / "settings.md"


def test_without_variables_all_settings_have_their_defaults() -> None:
    assert Settings.read({}) == Settings()


def test_an_empty_variable_counts_as_absent() -> None:
    assert Settings.read({"BINDERY_PORT": ""}).port == 8585


def test_lists_are_json_or_separated_words() -> None:
    read = Settings.read({"BINDERY_BANNED_SPECS": '["^gh/evil/"]', "BINDERY_BAN_NETWORKS": "10.0.0.0/8, 192.0.2.0/24"})
    assert read.banned_specs == ("^gh/evil/",)
    assert read.ban_networks == ("10.0.0.0/8", "192.0.2.0/24")


def test_spec_rules_have_the_format_of_binderhub() -> None:
    (rule,) = Settings.read({"BINDERY_SPEC_RULES": '[{"pattern": "^gh/o/", "config": {"quota": 3}}]'}).spec_rules
    assert (rule.pattern, rule.config.quota) == ("^gh/o/", 3)


@pytest.mark.parametrize("none", ["0", ""])
def test_a_zero_limit_means_no_limit(none: str) -> None:
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
        ("SESSIONS_URL", "http://10.0.0.1:8000"),
        ("SESSIONS_URL", "https://example.org/sessions"),
        ("SESSIONS_URL", "https://user:s3cret@example.org"),
        ("SESSIONS_URL", "https://*.example.org"),
        ("SESSIONS_URL", "https://-.example.org"),
        ("PULL_SECRET", "not a name"),
        ("CONTAINER_TOOL", "kaniko"),
        ("REGISTRY", "quay.io/my-org"),
        ("REGISTRY", "https://user:s3cret@quay.io/my-org"),
        ("REGISTRY", "https://quay.io/My-Org"),
        ("BASE_IMAGE", "--privileged"),
        ("EKS_CLUSTER", "a cluster"),
        ("KUBECONFIG_SECRET", "what is it?"),
        ("PRESET", "heroku"),
        ("MEMORY_LIMIT", "2 GB"),
        ("MEMORY_LIMIT", "400m"),
        ("MEMORY_LIMIT", "100M"),
        ("CPU_LIMIT", "0.001"),
        ("STORAGE_LIMIT", "0"),
        ("STORAGE_GUARANTEE", "-1G"),
        ("GPUS", "-1"),
        ("GPU_RESOURCE", "gpu"),
        ("NODE_SELECTOR", '{"pool": 3}'),
        ("NODE_SELECTOR", '{"a b": "c"}'),
        ("TOLERATIONS", '{"key": "a"}'),
        ("TOLERATIONS", '[{"value": "a"}]'),
        ("TOLERATIONS", '[{"key": "a", "operator": "Exists", "value": "b"}]'),
        ("TOLERATIONS", '[{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 3}]'),
        ("TOLERATIONS", '[{"key": "a", "effects": "NoSchedule"}]'),
        ("SESSION_ENVIRONMENT", '{"JUPYTER_TOKEN": "known"}'),
        ("SESSION_ENVIRONMENT", '{"BINDER_REPO_URL": "x"}'),
        ("SESSION_ENVIRONMENT", '{"BINDERY_SESSION": "x"}'),
        ("SESSION_ENVIRONMENT", '{"A-B": "x"}'),
        ("SESSION_ENVIRONMENT", '{"A": "\\u0000"}'),
    ],
)
def test_an_invalid_value_names_its_setting(name: str, value: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.read({f"BINDERY_{name}": value})
    assert refused.value.errors()[0]["loc"][0] == name.lower()


def test_two_clusters_are_refused() -> None:
    with pytest.raises(ValidationError, match="not both"):
        Settings.read(
            {"BINDERY_EKS_CLUSTER": "one", "BINDERY_KUBECONFIG_SECRET": "arn:aws:secretsmanager:x:1:secret:two"}
        )


CONTAINERS = {
    "BINDERY_BUILDER": "container",
    "BINDERY_LAUNCHER": "kubernetes",
    "BINDERY_REGISTRY": "https://quay.io/my-org/",
}


@pytest.mark.parametrize("builder", ["container", "codebuild"])
def test_container_builds_require_a_registry_and_a_kubernetes_launcher(builder: str) -> None:
    variables = {**CONTAINERS, "BINDERY_BUILDER": builder}
    assert Settings.read(variables).registry == "https://quay.io/my-org"
    for name in ("registry", "launcher"):
        without = {key: value for key, value in variables.items() if key != f"BINDERY_{name.upper()}"}
        with pytest.raises(ValidationError, match=f"BINDERY_BUILDER={builder} needs") as refused:
            Settings.read(without)
        assert [error["loc"] for error in refused.value.errors()] == [(name,)]


def test_secrets_are_hidden_in_representations() -> None:
    read = Settings.read({"BINDERY_SECRET": "s3cret" * 6, "BINDERY_GITHUB_TOKEN": "t0ken"})
    assert "s3cret" not in f"{read!r} {read.model_dump_json()}"
    assert "t0ken" not in f"{read!r} {read.model_dump_json()}"


def test_a_limit_below_its_guarantee_is_refused() -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.read({"BINDERY_MEMORY_GUARANTEE": "3G"})
    assert refused.value.errors()[0]["loc"] == ("memory_limit",)
    assert Settings.read({"BINDERY_MEMORY_GUARANTEE": "2000M"}).memory_limit == "2G"


def test_the_egi_preset_gives_two_gigabytes_and_no_maximum_age() -> None:
    read = Settings.read({"BINDERY_PRESET": "egi"})
    assert (read.memory_guarantee, read.memory_limit) == ("2G", "4G")
    assert (read.idle_seconds, read.max_age_seconds) == (3600, 0)


def test_the_mybinder_preset_gives_few_resources_and_short_sessions() -> None:
    read = Settings.read({"BINDERY_PRESET": "mybinder"})
    assert (read.memory_guarantee, read.memory_limit) == ("450M", "2G")
    assert (read.cpu_guarantee, read.cpu_limit) == ("0.01", "1")
    assert (read.idle_seconds, read.max_age_seconds) == (600, 21600)


def test_an_explicit_setting_overrides_the_preset() -> None:
    read = Settings.read({"BINDERY_PRESET": "egi", "BINDERY_MEMORY_LIMIT": "8G", "BINDERY_IDLE_SECONDS": ""})
    assert (read.memory_guarantee, read.memory_limit, read.idle_seconds) == ("2G", "8G", 3600)


def test_the_defaults_of_the_template_override_no_preset() -> None:
    variables = {name: text for name, text in template.read(ROOT / "template.yaml").environment.items() if text}
    assert [name for preset in PRESETS.values() for name in preset if f"BINDERY_{name.upper()}" in variables] == []


def test_session_resources_contain_no_other_settings() -> None:
    read = Settings.read({"BINDERY_PRESET": "egi", "BINDERY_GITHUB_TOKEN": "t0ken", "BINDERY_GPUS": "2"})
    assert type(read.resources) is Resources
    assert (read.resources.memory_limit, read.resources.gpus) == ("4G", 2)


def test_tolerations_have_the_format_of_kubernetes() -> None:
    setting = (
        '[{"key": "pool", "value": "users", "effect": "NoExecute", "tolerationSeconds": 30}, {"operator": "Exists"}]'
    )
    rendered = [each.model_dump(by_alias=True, exclude_defaults=True) for each in _tolerations(setting)]
    assert rendered == json.loads(setting)


def _tolerations(setting: str) -> tuple[Toleration, ...]:
    return Settings.read({"BINDERY_TOLERATIONS": setting}).tolerations


def test_the_page_contains_the_generated_tables() -> None:
    assert settings_tables() in PAGE.read_text(), "put in what `.venv/bin/bindery settings --table` prints"


def test_each_setting_is_in_one_table_with_a_description() -> None:
    names = [name for group in GROUPS.values() for name in group]
    assert sorted(names) == sorted(Settings.model_fields)
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_command_prints_the_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["settings", "--table"]) == 0
    assert capsys.readouterr().out == settings_tables() + "\n"


@pytest.mark.parametrize(
    "url", ["http://sessions.localhost:8000", "https://s.example-1.org/", "https://intern", "https://3.nip.io"]
)
def test_the_sessions_url_accepts_any_host_name(url: str) -> None:
    assert Settings.read({"BINDERY_SESSIONS_URL": url}).sessions_url == url.rstrip("/")


PODS = {
    "BINDERY_BUILDER": "container",
    "BINDERY_LAUNCHER": "kubernetes",
    "BINDERY_REGISTRY": "https://registry.example.org",
    "BINDERY_SESSIONS_URL": "https://sessions.example.org",
}
TOKENS = {"BINDERY_GITHUB_TOKEN": "ghp_0123456789", "BINDERY_GITLAB_TOKEN": "glpat-0123456789"}


@pytest.mark.parametrize(
    "names", ["gh/acme/paper", "gh/Acme/*", "gl/group/sub.group/project, gl/group/*", "gl/a/b/c/*"]
)
def test_names_of_private_repositories_are_accepted(names: str) -> None:
    read = Settings.read({**PODS, **TOKENS, "BINDERY_PRIVATE_REPOSITORIES": names})
    assert ", ".join(read.private_repositories) == names


@pytest.mark.parametrize(
    "names",
    [
        *("gh/acme", "gh/*", "gl/*", "*", "acme/paper", "gh/acme/paper/HEAD", "gh/acme/paper/*", "gh/acme/paper.git"),
        *("gh/../*", "gh/acme/..", "gl/./x", "gh/acme/pap*", "git/x/y", "gh/acme/paper ghp", "gl/group/project.git"),
    ],
)
def test_an_invalid_private_repository_name_is_refused(names: str) -> None:
    with pytest.raises(ValidationError, match="should be like gh/owner/name"):
        Settings.read({**PODS, **TOKENS, "BINDERY_PRIVATE_REPOSITORIES": names})


@pytest.mark.parametrize(("host", "token"), [("gh", "BINDERY_GITHUB_TOKEN"), ("gl", "BINDERY_GITLAB_TOKEN")])
def test_private_repositories_without_the_token_of_their_host_are_refused(host: str, token: str) -> None:
    others = {name: value for name, value in TOKENS.items() if name != token}
    with pytest.raises(ValidationError, match=f"needs a token: {token}"):
        Settings.read({**PODS, **others, "BINDERY_PRIVATE_REPOSITORIES": f"{host}/acme/*"})


def test_private_repositories_require_isolated_sessions() -> None:
    with pytest.raises(ValidationError, match="set BINDERY_LAUNCHER=kubernetes"):
        Settings.read({**TOKENS, "BINDERY_PRIVATE_REPOSITORIES": "gh/acme/*"})


@pytest.mark.parametrize("around", ["\n", " ", "\r\n", "\t"])
def test_whitespace_around_a_token_is_removed(around: str) -> None:
    read = Settings.read({name: f"{around}{token}{around}" for name, token in TOKENS.items()})
    assert read.github_token.get_secret_value() == TOKENS["BINDERY_GITHUB_TOKEN"]
    assert read.gitlab_token.get_secret_value() == TOKENS["BINDERY_GITLAB_TOKEN"]


@pytest.mark.parametrize("token", ["ghp_1\nghp_2", "ghp 12345", "ghp_\u00fc", "ghp_\u2028x", "ghp_\0x"])
def test_a_token_that_no_header_can_contain_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ValidationError, match="a token has no spaces") as caught:
        Settings.read({"BINDERY_GITHUB_TOKEN": token})
    assert "ghp" not in str(caught.value)
