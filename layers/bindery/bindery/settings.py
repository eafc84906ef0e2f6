"""Settings: environment variables `BINDERY_*`, read once, typed. The README lists them with their defaults."""

import os
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from bindery.domain.resources import Resources
from bindery.presets import PRESETS
from bindery.setting_types import (
    IMAGE,
    LABEL,
    Address,
    Addresses,
    Count,
    Login,
    MetricsToken,
    Networks,
    Patterns,
    PrivateNames,
    ProviderNames,
    RegistryAddress,
    Secret,
    SpecConfigs,
    Token,
    Words,
    is_domain,
)

UNFIT_FOR_CONTAINERS = {"registry": "", "launcher": "process"}
NEEDED_BY_CONTAINERS = {
    "registry": "the registry that images are pushed to",
    "launcher": "a launcher that runs images: kubernetes",
}

HOSTS_TOKENS = {"gh": ("github_token", "github_app_id"), "gl": ("gitlab_token",)}


class Settings(Resources):
    """Field `idle_seconds` is read from `BINDERY_IDLE_SECONDS`, and so on. A value that cannot be used stops the start."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    table: str = Field("sqlite", description="where state lives: `sqlite`, or the name of a DynamoDB table")
    queues: str = Field("memory", pattern="^(memory|sqs)$", description="how messages travel: `memory`, or `sqs`")
    queue_urls: Addresses = Field({}, description="JSON: queue name to SQS address, with `BINDERY_QUEUES=sqs`")
    home: str = Field("~/.local/share/bindery", description="folder of everything local: state, environments, sessions")
    builder: str = Field(
        "uv", pattern="^(uv|container|codebuild)$", description="build engine: `uv`, `container`, `codebuild`"
    )
    codebuild_project: str = Field("bindery", description="CodeBuild's project that builds, with `codebuild`")
    codebuild_layer: str = Field(
        "", description="layer with what runs in a build, by its ARN; empty: as the project has it"
    )
    container_tool: str = Field(
        "podman", pattern="^(podman|buildah|docker)$", description="what builds images: `podman`, `buildah` or `docker`"
    )
    registry: RegistryAddress = Field(
        "", validate_default=True, description="where images are pushed to: `https://quay.io/my-org`; http: without TLS"
    )
    registry_user: str = Field("", description="who pushes there, and asks what is there; empty: anybody may")
    registry_password: SecretStr = Field(
        SecretStr(""), description="never leaves for another host than the registry and where it gives its tokens"
    )
    base_image: str = Field(
        "", pattern=IMAGE, description="what repo2docker's images begin from; empty: as repo2docker has it"
    )
    docker_hub_login: Login = Field(
        SecretStr(""),
        description="`user:token` of Docker Hub: with it public images are pulled that builds begin from, which raises its limit",
    )
    launcher: str = Field(
        "process",
        pattern="^(process|kubernetes)$",
        validate_default=True,
        description="session launcher: `process` or `kubernetes`",
    )
    eks_cluster: str = Field(
        "", pattern=r"^([0-9A-Za-z][0-9A-Za-z_-]{0,99})?$", description="EKS cluster of the sessions, in this region"
    )
    kubeconfig_secret: str = Field(
        "",
        pattern=r"^[0-9A-Za-z/_+=.@:-]{0,512}$",
        validate_default=True,
        description="or any other cluster: the Secrets Manager secret, by name or ARN, that holds its kubeconfig",
    )
    kubeconfig: str = Field("", description="file that leads to the cluster; empty: `KUBECONFIG`, `~/.kube/config`")
    namespace: str = Field(
        "bindery-sessions", pattern=f"^{LABEL}$", description="namespace of the sessions, and of their Gateway"
    )
    gateway: str = Field("sessions", pattern=f"^{LABEL}$", description="Gateway that leads to the sessions")
    sessions_url: Annotated[Address, AfterValidator(is_domain)] = Field(
        "http://sessions.localhost:8000",
        description="sessions are at its sub-domains: `http://<id>.sessions.localhost:8000/`",
    )
    pull_secret: str = Field(
        "",
        pattern=rf"^({LABEL}(\.{LABEL})*)?$",
        description="Secret in the sessions' namespace that nodes fetch images with",
    )
    secret: Secret = Field(SecretStr(""), description="signs tokens; 32 random characters or more. Local: made once")
    public_url: str = Field("", description="this Bindery's address; empty: as each request names it")
    port: int = Field(8585, ge=0, le=65535, description="port of the local front, on loopback; 0: any free one")

    preset: str = Field(
        "",
        pattern="^(|egi|mybinder)$",
        description="limits that suit a community, `egi` or `mybinder`; what is set explicitly goes before them",
    )
    launch_title: str = Field("Bindery", description="what this instance is called on its pages")
    build_seconds: int = Field(1800, ge=10, description="a build's limit; a launch may take 10 minutes longer")
    start_seconds: float = Field(
        600, gt=0, description="how long a session may take to start, a cluster that makes room for it included"
    )
    stream_seconds: float = Field(
        840, ge=0, description="an event stream is open this long at most; 0, as with `make up`: to its end"
    )
    page_stream_seconds: float = Field(
        0,
        ge=0,
        description="Bindery's own page, which resumes, is given a stream for this long at most and asks while a build runs; "
        "0: as others, to its end",
    )
    build_slots: int = Field(2, ge=1, description="builds at the same time; others wait in line")
    image_days: int = Field(
        0,
        ge=0,
        description="an image that was not launched for this many days is deleted from the registry, and built again when it is "
        "wanted; 0: never",
    )
    disk_bytes: int = Field(20_000_000_000, ge=0, description="disk for environments; the least recently used go first")
    idle_seconds: float = Field(600, ge=0, description="a session this long without activity is stopped; 0: never")
    max_age_seconds: float = Field(21600, ge=0, description="a session this old is stopped; 0: never")
    busy_seconds: float = Field(
        86400,
        ge=0,
        description="a kernel that computes is activity for this long without any other; 0: for ever",
    )
    cull_seconds: float = Field(60, gt=0, description="how often sessions are asked for their activity")
    reconcile_seconds: float = Field(60, gt=0, description="how often lost and left-over things are looked for, local")
    quota_total: Count = Field(200, description="sessions at one time; 0: no limit")
    quota_per_repository: Count = Field(100, description="sessions of one repository at one time; 0: no limit")
    quota_per_owner: Count = Field(None, description="sessions of one owner's repositories at one time; 0: no limit")
    quota_favoured: Count = Field(None, description="the same for repositories that match `favoured_specs`")
    favoured_specs: Patterns = Field((), description="JSON list of patterns")
    spec_rules: SpecConfigs = Field(
        (), description='JSON: [{"pattern": a pattern, "config": {"quota": N}}]; the first that matches counts'
    )
    banned_specs: Patterns = Field((), description="JSON list of patterns that are not launched; beats allowed")
    allowed_specs: Patterns = Field((), description="JSON list of patterns; if not empty, nothing else is launched")
    providers_off: ProviderNames = Field(
        (), description="providers that are switched off, such as `gist`, comma-separated"
    )
    own_refs_only: bool = Field(
        False,
        description="whether only branches and tags of the repository itself may be launched, and no commits of pull requests and "
        "forks, which hosts show under the same name",
    )
    ban_networks: Networks = Field((), description="clients' networks that are not served, CIDR, comma-separated")
    trusted_proxies: Networks = Field(
        (),
        description="networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed, CIDR, comma-separated",
    )
    rate_limit: int = Field(
        10,
        ge=1,
        description="launches per client and window without a page's build token, and DOIs to be asked for; `make up` allows 1000",
    )
    rate_seconds: int = Field(3600, ge=1, description="the window")
    page_rate_limit: Count = Field(
        60,
        description="launches per client and window in all, a page's included; 0: no limit. Not for this machine's own clients",
    )
    client_streams: Count = Field(
        10, description="event streams of one client at one time; 0: no limit. Not for this machine's own clients"
    )
    client_builds: Count = Field(
        1,
        description="builds of one client that run while others wait; beyond that none takes the last free slot. 0: no limit. "
        "Not for this machine's own clients",
    )
    client_line: Count = Field(
        3, description="builds of one client that wait in line; 0: no limit. Not for this machine's own clients"
    )
    owner_builds: Count = Field(
        1, description="`client_builds`, for one owner's repositories; counted like `owner_line`"
    )
    owner_line: Count = Field(
        30,
        description="`client_line`, for one owner's repositories; as many again for commits of pull requests and forks of them",
    )
    client_sessions: Count = Field(
        10, description="sessions of one client at one time; 0: no limit. Not for this machine's own clients"
    )
    cors_allow_origin: str = Field(
        "",
        description="`Access-Control-Allow-Origin` of the event stream and the API; `listed`: each of `allowed_origins` gets its own; "
        "`none`: none; empty: `*`, or `listed` with private repositories",
    )
    allowed_origins: Words = Field(
        (),
        description="sites that may launch here without our page, private repositories too, comma-separated; which sites may read "
        "the answers: `cors_allow_origin`",
    )

    metrics_token: MetricsToken = Field(
        SecretStr(""), description="opens `/metrics`, sent as `Authorization: Bearer ...`; 16 characters or more"
    )
    metrics_networks: Networks = Field(
        (),
        description="clients' networks that read `/metrics` without a token, CIDR, comma-separated; with process sessions every "
        "request is this user's own and needs neither",
    )

    allowed_private_hosts: Words = Field(
        (), description="`host` or `host:port` that repositories may be fetched from although private, comma-separated"
    )
    github_url: Address = Field("https://github.com", description="GitHub, or an Enterprise server")
    github_api_url: Address = Field("https://api.github.com", description="its REST API")
    github_token: Token = Field(SecretStr(""), description="raises GitHub's rate limit; never leaves for another host")
    github_app_installation: str = Field(
        "", pattern="^[0-9]*$", description="number of the installation of a GitHub App, with the next two"
    )
    github_app_key: SecretStr = Field(
        SecretStr(""), description="the App's private key, PEM; its lines may be parted by \\n"
    )
    github_app_id: str = Field(
        "",
        validate_default=True,
        description="the App's id: its tokens, an hour each, are taken in place of `github_token`",
    )
    gist_url: Address = Field("https://gist.github.com", description="GitHub's gists, or an Enterprise server's")
    secret_gists: bool = Field(False, description="whether gists that are listed nowhere may be launched, too")
    gitlab_url: Address = Field("https://gitlab.com", description="GitLab, or a server of your own that runs it")
    gitlab_token: Token = Field(SecretStr(""), description="raises GitLab's rate limit; never leaves for another host")
    private_repositories: PrivateNames = Field(
        (),
        description="private repositories that may be launched with their host's token, such as `gh/owner/name` or `gl/group/*`, "
        "comma-separated: whoever can open Bindery can read them",
    )
    doi_url: Address = Field("https://doi.org", description="the DOI system's proxy, which knows where a DOI leads")
    zenodo_api_url: Address = Field(
        "https://zenodo.org/api", description="Zenodo, or another host that runs InvenioRDM"
    )
    figshare_api_url: Address = Field("https://api.figshare.com/v2", description="Figshare's API")
    figshare_hosts: Words = Field(
        (), description="more hosts of Figshare's, with names of institutions' own, that DOIs lead to, comma-separated"
    )
    dataverse_hosts: Words = Field(
        (), description="more hosts of Dataverse that files' addresses may name, comma-separated"
    )
    hydroshare_api_url: Address = Field("https://www.hydroshare.org/hsapi", description="HydroShare's API")
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="DEBUG, INFO, WARNING or ERROR")

    @field_validator("registry", "launcher")
    @classmethod
    def _works_with_the_builder(cls, value: str, info: ValidationInfo) -> str:
        """Raises ValueError."""
        if info.data.get("builder") == "uv" and value == "kubernetes":
            raise ValueError("it starts images: set BINDERY_BUILDER=container")
        builder = info.data.get("builder")
        if builder in ("container", "codebuild") and value == UNFIT_FOR_CONTAINERS[info.field_name or ""]:
            raise ValueError(f"BINDERY_BUILDER={builder} needs {NEEDED_BY_CONTAINERS[info.field_name or '']}")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_not_everybody(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Raises ValueError."""
        if any(network.endswith("/0") for network in value):
            raise ValueError(
                "who trusts every address believes whatever any client says: name the proxies' own networks"
            )
        return value

    @field_validator("private_repositories")
    @classmethod
    def _can_be_kept(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """Raises ValueError."""
        if value and info.data.get("launcher") == "process":
            raise ValueError(
                "sessions that are processes of this machine can read the token: set BINDERY_LAUNCHER=kubernetes"
            )
        if value and "*" in (info.data.get("cors_allow_origin"), *(info.data.get("allowed_origins") or ())):
            raise ValueError(
                "with * in BINDERY_CORS_ALLOW_ORIGIN or BINDERY_ALLOWED_ORIGINS every web page could read them: name the sites"
            )
        for host, names in HOSTS_TOKENS.items():
            given = [str(info.data.get(name) or "") for name in names]
            if not any(given) and any(each.startswith(f"{host}/") for each in value):
                raise ValueError(f"{host}/... needs a token: BINDERY_{names[0].upper()}")
        return value

    @field_validator("github_app_key")
    @classmethod
    def _lines(cls, value: SecretStr) -> SecretStr:
        return SecretStr(value.get_secret_value().replace("\\n", "\n"))

    @field_validator("github_app_id")
    @classmethod
    def _is_whole(cls, value: str, info: ValidationInfo) -> str:
        """Raises ValueError."""
        key = info.data.get("github_app_key") or SecretStr("")
        if len({bool(value), bool(info.data.get("github_app_installation")), bool(key.get_secret_value())}) > 1:
            raise ValueError("a GitHub App needs its id, its key and its installation")
        return value

    @field_validator("kubeconfig_secret")
    @classmethod
    def _is_the_only_way(cls, value: str, info: ValidationInfo) -> str:
        """Raises ValueError."""
        if value and info.data.get("eks_cluster"):
            raise ValueError("sessions run on one cluster: set BINDERY_EKS_CLUSTER or this, not both")
        return value

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """From environment variables; an empty one counts as absent. Raises pydantic's ValidationError, which names the setting."""
        variables = {name: environment.get(f"BINDERY_{name.upper()}", "") for name in cls.model_fields}
        given = {name: text for name, text in variables.items() if text}
        return cls.model_validate({**PRESETS.get(given.get("preset", ""), {}), **given})

    @property
    def allow_origin(self) -> str:
        """The value of `Access-Control-Allow-Origin` for every site. Empty: none, or what `reading_origins` say."""
        if self._reads == "listed":
            return "*" if "*" in self.allowed_origins else ""
        return "" if self._reads == "none" else self._reads

    @property
    def reading_origins(self) -> tuple[str, ...]:
        """The sites that are each answered with their own origin."""
        return self.allowed_origins if self._reads == "listed" and "*" not in self.allowed_origins else ()

    @property
    def _reads(self) -> str:
        return self.cors_allow_origin or ("listed" if self.private_repositories else "*")

    @property
    def resources(self) -> Resources:
        """What each session may have, without everything else that is set."""
        return Resources.model_validate({name: getattr(self, name) for name in Resources.model_fields})
