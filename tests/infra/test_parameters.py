"""Tests of the effect of the template's parameters: in the functions' environments, and at the API's own address."""

import re
from collections.abc import Mapping
from itertools import combinations

import pytest

from bindery.settings import Settings
from tests.infra.deployed.rights import FUNCTIONS, RESOURCES, TEMPLATE
from tests.infra.deployed.variables import SECRET, holds, resolved, variables

A_REGISTRY = {"BINDERY_REGISTRY": "https://123456789012.dkr.ecr.eu-central-1.amazonaws.com/bindery"}
SECRETS = {
    "GithubTokenSecret": "BINDERY_GITHUB_TOKEN",
    "GithubAppKeySecret": "BINDERY_GITHUB_APP_KEY",
    "GitlabTokenSecret": "BINDERY_GITLAB_TOKEN",
}
APP = {"GithubAppId": "1234567", "GithubAppInstallation": "12345678", "GithubAppKeySecret": "bindery/app"}
HOSTS = {
    "GithubUrl": "https://github.example.org",
    "GithubApiUrl": "https://github.example.org/api/v3",
    "GistUrl": "https://gist.github.example.org",
    "GitlabUrl": "https://gitlab.example.org",
    "ZenodoApiUrl": "https://sandbox.zenodo.org/api",
    "FigshareHosts": "research.example.org,research.example.com",
    "DataverseHosts": "data.example.org,data.example.com",
}
READ = {
    "figshare_hosts": ("research.example.org", "research.example.com"),
    "dataverse_hosts": ("data.example.org", "data.example.com"),
}
SESSIONS = {
    "MemoryGuarantee": "1G",
    "MemoryLimit": "8G",
    "CpuGuarantee": "0.5",
    "CpuLimit": "2",
    "StorageGuarantee": "2G",
    "StorageLimit": "20G",
    "Gpus": "1",
    "GpuResource": "amd.com/gpu",
    "NodeSelector": '{"pool": "sessions"}',
    "Tolerations": '[{"key": "pool", "operator": "Exists"}]',
    "RuntimeClass": "gvisor",
    "UserNamespaces": "true",
    "SessionEnvironment": '{"COURSE": "one"}',
    "PullSecret": "registry",
}
# Settings that no parameter sets, and the reasons.
NOT_ON_AWS = {
    **dict.fromkeys(
        ("home", "port", "container_tool", "conda_channels", "disk_bytes", "kubeconfig"), "of engines on one machine"
    ),
    **dict.fromkeys(("registry_user", "registry_password"), "ECR is asked by the functions' roles"),
    **dict.fromkeys(("cull_seconds", "reconcile_seconds"), "the schedules' rates"),
    **dict.fromkeys(
        ("stream_seconds", "start_seconds", "rate_seconds"), "fit Lambda's limits, and the limits beside them"
    ),
    **dict.fromkeys(("gateway", "namespace"), "called so by infra/kubernetes"),
    **dict.fromkeys(("favoured_specs", "quota_favoured"), "SpecRules says it, too"),
    **dict.fromkeys(("doi_url", "figshare_api_url", "hydroshare_api_url"), "there is one of each"),
    "docker_hub_login": "builds are given it, out of DockerHubSecret, and no function is",
    "allowed_private_hosts": "functions run outside of private networks",
    "log_level": "the alarms' numbers are read out of lines of INFO",
}
# Parameters whose description differs from that of their setting, and the reasons.
DESCRIBED_OTHERWISE = {
    **dict.fromkeys(("Builder", "Launcher"), "one engine is for AWS; tests set others"),
    **dict.fromkeys(("RateLimit", "PageRateLimit"), "the window is an hour there"),
    "ImageDays": "0 is no value there",
    "BaseImage": "it has a default of its own, and a reason for it",
    "KubeconfigSecret": "a name, no ARN",
}
ONE_MACHINE = ". Not for this machine's own clients"
LAMBDAS_LIMIT, SPARE = 4096, 600  # characters of a function's variables; the second for longer names and lists
BUILDS_LIMIT, ORDERS_LIMIT = 5500, 4500  # characters of a build's variables; of those that each build is given
A_KEY = 1679  # characters of an RSA key of 2048 bits, as GitHub makes them


def on_aws(function: str, parameters: Mapping[str, str]) -> dict[str, str]:
    return {**variables(function, **parameters), **A_REGISTRY}


def of_builds(parameters: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the variables of every build, each with its type and its value."""
    listed = RESOURCES["Builds"]["Properties"]["Environment"]["EnvironmentVariables"]
    entries = [each for one in listed if isinstance(each := resolved(one, parameters), dict)]
    return {each["Name"]: (each.get("Type", "PLAINTEXT"), str(each["Value"])) for each in entries}


def setting(parameter: str) -> str:
    """Return a parameter's setting: `GitlabUrl` is `gitlab_url`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", parameter).lower()


@pytest.mark.parametrize(("parameter", "variable"), SECRETS.items())
def test_a_secret_reaches_only_the_function_that_uses_it(parameter: str, variable: str) -> None:
    parameters = {parameter: "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x"}
    values = {name: variables(name, **parameters).get(variable) for name in FUNCTIONS}
    assert {name: value for name, value in values.items() if value is not None} == {"ResolveRepository": SECRET}
    assert variables("ResolveRepository")[variable] == ""


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_has_the_addresses_of_self_hosted_servers(function: str) -> None:
    """Pages tell a repository's place and detect its address, as the function that resolves it does."""
    usual, own = (Settings.read(on_aws(function, parameters)).model_dump() for parameters in ({}, HOSTS))
    changed = {name: value for name, value in own.items() if value != usual[name]}
    assert changed == {**{setting(host): url for host, url in HOSTS.items()}, **READ}
    assert {name: usual[name] for name in changed} == {name: Settings.model_fields[name].default for name in changed}


def test_builds_fetch_from_the_same_hosts_as_functions() -> None:
    """A build lists a record's files once more when it fetches them. On another host it would be another record."""
    there = {name: value for name, (kind, value) in of_builds(HOSTS).items() if kind == "PLAINTEXT"}
    expected = {f"BINDERY_{setting(host).upper()}": value for host, value in HOSTS.items()}
    assert {name: value for name, value in there.items() if name in expected} == expected
    assert sum(len(name) + len(value) for name, value in there.items()) < BUILDS_LIMIT - ORDERS_LIMIT


def test_every_setting_is_a_parameter_or_has_a_documented_reason() -> None:
    set_there = {name for function in FUNCTIONS for name in variables(function)}
    available = {name.removeprefix("BINDERY_").lower() for name in set_there}
    assert sorted(set(Settings.model_fields) - available) == sorted(NOT_ON_AWS)


def description_of(name: str) -> str:
    """Return the setting's description as a parameter's: settings that it names are parameters there."""
    parameters = {setting(parameter): parameter for parameter in TEMPLATE["Parameters"]}
    parameters |= {setting(parameter.removesuffix("Secret")): parameter for parameter in SECRETS}
    text = (Settings.model_fields[name].description or "").removesuffix(ONE_MACHINE)
    text = re.sub(r"`(\w+)`", lambda word: parameters.get(word[1], word[0]), text)
    return text[:1].upper() + text[1:]


def test_a_parameter_description_begins_with_that_of_its_setting() -> None:
    described = {name: str(rule["Description"]) for name, rule in TEMPLATE["Parameters"].items()}
    same = {name for name in described if setting(name) in Settings.model_fields} - DESCRIBED_OTHERWISE.keys()
    assert len(same) > 40
    differ = {name: described[name] for name in same if not described[name].startswith(description_of(setting(name)))}
    assert differ == {}


def test_session_resources_reach_the_function_that_starts_sessions() -> None:
    usual, own = (Settings.read(on_aws("StartSession", parameters)) for parameters in ({}, SESSIONS))
    changed = {name: value for name, value in own.model_dump().items() if value != usual.model_dump()[name]}
    assert changed.keys() == {setting(name) for name in SESSIONS}
    assert (own.memory_limit, own.pull_secret, own.resources.node_selector) == ("8G", "registry", {"pool": "sessions"})
    assert (
        usual.resources
        == Settings.read(A_REGISTRY | {"BINDERY_BUILDER": "codebuild", "BINDERY_LAUNCHER": "kubernetes"}).resources
    )


def test_a_github_app_is_used_if_complete_and_refused_if_partial() -> None:
    settings = Settings.read(on_aws("ResolveRepository", APP))
    assert (settings.github_app_id, settings.github_app_installation) == ("1234567", "12345678")
    assert settings.github_app_key.get_secret_value() == SECRET
    (rule,) = TEMPLATE["Rules"]["AnAppIsWhole"]["Assertions"]
    for count in range(4):
        for names in combinations(APP, count):
            assert holds(rule["Assert"], {name: APP[name] for name in names}) == (count in (0, 3)), names


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_variables_of_a_function_fit_the_limit_of_lambda(function: str) -> None:
    """The variables include a GitHub App's key and every host of the operator's own."""
    environment = on_aws(function, {**APP, **HOSTS, "GitlabTokenSecret": "x", "GithubTokenSecret": "x"})
    if "BINDERY_GITHUB_APP_KEY" in environment:
        environment["BINDERY_GITHUB_APP_KEY"] = "k" * A_KEY
    assert sum(len(name) + len(value) for name, value in environment.items()) < LAMBDAS_LIMIT - SPARE


def test_the_api_address_is_closed_only_with_both_a_proxy_and_a_domain_name() -> None:
    """Pages at that address would have the proxy's links. Without a name the proxy uses that address; without a proxy
    it works.
    """
    api, proxy, name = RESOURCES["Api"]["Properties"], {"PublicUrl": "https://b.example.org"}, {"DomainName": "b.test"}
    closed = [
        resolved(api["DisableExecuteApiEndpoint"], parameters) for parameters in ({}, proxy, name, {**proxy, **name})
    ]
    assert closed == [False, False, False, True]
    versions = [resolved(api["Variables"]["OnlyByItsName"], parameters) for parameters in (name, {**proxy, **name})]
    assert len(set(versions)) == 2, "without a change of its stage an API goes on as it was"


ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret"
A_TOKEN = {
    "GithubTokenSecret": ("BINDERY_GITHUB_TOKEN", {}),
    "GitlabTokenSecret": ("BINDERY_GITLAB_TOKEN", {}),
    "GithubAppKeySecret": ("BINDERY_GITHUB_APP_KEY", {"GithubAppId": "1234567", "GithubAppInstallation": "12345678"}),
}


PRIVATE = {"GithubPrivate": "gh/acme/*, gh/acme/one.two", "GitlabPrivate": "gl/acme/team/*,gl/acme/one"}
BEHIND = {"GithubPrivate": ("GithubTokenSecret", "GithubAppKeySecret"), "GitlabPrivate": ("GitlabTokenSecret",)}


def private(secret: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the parameter of the repositories that may be launched with a host's secret, and the other host's
    secrets.

    The other host's secrets serve only its rate limit.
    """
    (name,) = [name for name, secrets in BEHIND.items() if secret in secrets]
    others = [other for whose, secrets in BEHIND.items() for other in secrets if whose != name]
    return {name: PRIVATE[name]}, dict.fromkeys(others, f"{ARN}:another-Ab12Cd")


@pytest.mark.parametrize("version", ["", ":SecretString:::8f2c"])
@pytest.mark.parametrize("secret", A_TOKEN)
def test_builds_of_private_repositories_can_read_the_token_of_their_host_only(secret: str, version: str) -> None:
    """The variable holds a secret's reference. A plain text would be visible in each description of a build."""
    variable, words = A_TOKEN[secret]
    arn = f"{ARN}:{secret}-Ab12Cd"
    names, others = private(secret)
    public = {secret: arn + version, **words, **others}
    parameters = {**public, **names}
    plain, variables_of_builds = of_builds(public), of_builds(parameters)
    assert {kind for kind, _ in plain.values()} == {"PLAINTEXT"}
    assert not {value for _, value in plain.values()} & {arn, *words.values()}
    assert [(name, value) for name, (kind, value) in variables_of_builds.items() if kind == "SECRETS_MANAGER"] == [
        (variable, arn)
    ]
    for parameter, value in words.items():
        assert variables_of_builds[f"BINDERY_{setting(parameter).upper()}"] == ("PLAINTEXT", value)
    tokens = RESOURCES["BuilderTokens"]
    assert not holds(tokens, public)
    assert holds(tokens, parameters)
    (may,) = tokens["Properties"]["PolicyDocument"]["Statement"]
    assert may["Action"] == "secretsmanager:GetSecretValue"
    assert [there for each in may["Resource"] if (there := resolved(each, parameters))] == [arn]


def test_only_the_resolving_function_knows_the_private_repositories() -> None:
    knowing = {name for name in FUNCTIONS if "BINDERY_PRIVATE_REPOSITORIES" in variables(name)}
    assert knowing == {"ResolveRepository"}
    both = {"GithubTokenSecret": ARN, "GitlabTokenSecret": ARN, **PRIVATE}
    tokens = {"BINDERY_GITHUB_TOKEN": "ghp_0123456789", "BINDERY_GITLAB_TOKEN": "glpat-0123456789"}
    for parameters, names in (
        ({}, ()),
        (PRIVATE, ("gh/acme/*", "gh/acme/one.two", "gl/acme/team/*", "gl/acme/one")),
        ({**PRIVATE, "GithubPrivate": ""}, ("gl/acme/team/*", "gl/acme/one")),
    ):
        read = Settings.read(on_aws("ResolveRepository", {**both, **dict.fromkeys(PRIVATE, ""), **parameters}) | tokens)
        assert read.private_repositories == names


@pytest.mark.parametrize("name", PRIVATE)
def test_private_repositories_require_the_token_of_their_host(name: str) -> None:
    """The resolving function would refuse to start. Every launch would fail, and only the log would give the reason."""
    rule = TEMPLATE["Rules"][f"{name}NeedsAToken"]
    (must,) = rule["Assertions"]
    assert holds(rule["RuleCondition"], {name: PRIVATE[name]})
    assert not holds(rule["RuleCondition"], {})
    served = {secret for secret in A_TOKEN if holds(must["Assert"], {secret: ARN})}
    assert served == set(BEHIND[name])
    assert not holds(must["Assert"], {})


def test_an_invalid_private_repository_name_is_refused_before_the_deployment() -> None:
    """Each host's parameter takes names of its own host only, because its rule covers one token."""
    for parameter, own, other in (("GithubPrivate", "gh", "gl"), ("GitlabPrivate", "gl", "gh")):
        pattern = re.compile(TEMPLATE["Parameters"][parameter]["AllowedPattern"])
        assert pattern.fullmatch("")
        assert pattern.fullmatch(PRIVATE[parameter])
        wrong = (
            f"{other}/acme/one",
            f"{own}/acme",
            f"{own}/acme/one.git",
            f"{own}/*",
            "acme/one",
            f"{own}/a/b {own}/a/c",
            *(f"{own}/{step}/x" for step in (".", "..")),
            *(f"{own}/a/{step}" for step in (".", "..")),
        )
        for name in wrong:
            assert not pattern.fullmatch(name), name
            assert not pattern.fullmatch(f"{own}/acme/one,{name}"), name
            assert not pattern.fullmatch(f"{name},{own}/acme/one"), name
        assert pattern.fullmatch(f"{own}/.a/..b,{own}/a./...")


SHARES = {
    ("TrustedProxies", "10.0.0.0/8"): ("ServePages", "StreamLaunch", "AnswerApi"),
    ("LaunchTitle", "Our own"): ("ServePages",),
    ("MetricsNetworks", "10.0.0.0/8"): ("ServePages", "Reconcile"),
    ("RateLimit", "7"): ("ServePages", "StreamLaunch", "AnswerApi"),
    ("PageRateLimit", "7"): ("ServePages", "StreamLaunch", "AnswerApi"),
    ("ClientStreams", "7"): ("StreamLaunch", "AnswerApi"),
    ("ClientSessions", "7"): ("StreamLaunch", "AnswerApi", "StartSession"),
    ("QuotaPerOwner", "7"): ("ResolveRepository", "StartSession"),
    ("ClientLine", "7"): ("ResolveRepository",),
    ("OwnerLine", "7"): ("ResolveRepository",),
    ("ClientBuilds", "7"): ("StartBuild", "RecordBuild", "Reconcile", "FailLaunch"),
    ("OwnerBuilds", "7"): ("StartBuild", "RecordBuild", "Reconcile", "FailLaunch"),
}


@pytest.mark.parametrize(("parameter", "value"), SHARES)
def test_each_limit_of_a_share_reaches_the_functions_that_enforce_it(parameter: str, value: str) -> None:
    """Only some functions have it, because a function's variables may hold only little text together."""
    for function in SHARES[parameter, value]:
        usual, own = (Settings.read(on_aws(function, parameters)) for parameters in ({}, {parameter: value}))
        changed = {name for name, had in usual.model_dump().items() if own.model_dump()[name] != had}
        assert changed == {setting(parameter)}, function


def test_default_shares_equal_those_of_the_settings() -> None:
    """`make up` reads no function's own variables."""
    for parameter, _ in SHARES:
        default = TEMPLATE["Parameters"][parameter]["Default"]
        settings = Settings.read({f"BINDERY_{setting(parameter).upper()}": str(default)} if default != "" else {})
        assert getattr(settings, setting(parameter)) == getattr(Settings(), setting(parameter)), parameter


@pytest.mark.parametrize("private", ["GithubPrivate", "GitlabPrivate"])
def test_with_private_repositories_only_listed_sites_may_read_answers(private: str) -> None:
    private_names = {private: "gh/o/r" if private == "GithubPrivate" else "gl/o/r"}
    for function in ("StreamLaunch", "AnswerApi"):
        parameters = {"KubeconfigSecret": "cluster", "SessionsUrl": "https://sessions.example.net"}
        assert Settings.read({**variables(function, **parameters), **A_REGISTRY}).allow_origin == "*"
        settings = Settings.read({**variables(function, **parameters, **private_names), **A_REGISTRY})
        assert (settings.allow_origin, settings.reading_origins) == ("", ())
        sites = variables(
            function, **parameters, **private_names, AllowedOrigins="https://a.example, https://b.example"
        )
        settings = Settings.read({**sites, **A_REGISTRY})
        assert (settings.allow_origin, settings.reading_origins) == ("", ("https://a.example", "https://b.example"))
        listed = variables(function, **parameters, **private_names, CorsAllowOrigin="https://a.example")
        assert Settings.read({**listed, **A_REGISTRY}).allow_origin == "https://a.example"
