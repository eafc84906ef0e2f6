"""Settings: environment variables `BINDERY_*`, read once, typed. infra/docs/settings.md lists them."""

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
    """Settings of Bindery. Field `idle_seconds` is read from `BINDERY_IDLE_SECONDS`, and so on. An invalid value stops the start."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    table: str = Field("sqlite", description="table that holds all state: `sqlite`, or the name of a DynamoDB table")
    queues: str = Field("memory", pattern="^(memory|sqs)$", description="queue service: `memory` or `sqs`")
    queue_urls: Addresses = Field(
        {}, description="JSON object: the SQS address of each queue, with `BINDERY_QUEUES=sqs`"
    )
    home: str = Field("~/.local/share/bindery", description="folder of all local state: table, environments, sessions")
    builder: str = Field(
        "uv", pattern="^(uv|container|codebuild)$", description="build engine: `uv`, `container` or `codebuild`"
    )
    conda_channels: str = Field(
        "https://conda.anaconda.org",
        pattern=r"^https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9_.~%+-]+)*/?$",
        description="address under which builds with `uv` find conda channels by name, such as `conda-forge`; a mirror's",
    )
    codebuild_project: str = Field("bindery", description="CodeBuild project of the builds, with `codebuild`")
    codebuild_layer: str = Field(
        "", description="ARN of the layer with the code that runs in a build; empty: the project's own"
    )
    container_tool: str = Field(
        "podman",
        pattern="^(podman|buildah|docker)$",
        description="tool that builds images: `podman`, `buildah` or `docker`",
    )
    registry: RegistryAddress = Field(
        "",
        validate_default=True,
        description="registry that images are pushed to, such as `https://quay.io/my-org`; `http`: without TLS",
    )
    registry_user: str = Field("", description="user of the registry; empty: it needs no login")
    registry_password: SecretStr = Field(
        SecretStr(""), description="password of that user; sent to the registry and its token server only"
    )
    base_image: str = Field(
        "",
        pattern=IMAGE,
        description="base image of the Dockerfiles that repo2docker writes; empty: repo2docker's default",
    )
    docker_hub_login: Login = Field(
        SecretStr(""),
        description="`user:token` of Docker Hub, for pulls of public base images; raises the pull limit",
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
        description="Secrets Manager secret, by name or ARN, with the kubeconfig of any other cluster",
    )
    kubeconfig: str = Field("", description="kubeconfig file of the cluster; empty: `KUBECONFIG`, `~/.kube/config`")
    namespace: str = Field(
        "bindery-sessions", pattern=f"^{LABEL}$", description="namespace of the sessions and of their Gateway"
    )
    gateway: str = Field("sessions", pattern=f"^{LABEL}$", description="name of the Gateway of the sessions")
    sessions_url: Annotated[Address, AfterValidator(is_domain)] = Field(
        "http://sessions.localhost:8000",
        description="address of the sessions; each session is at a sub-domain of it",
    )
    pull_secret: str = Field(
        "",
        pattern=rf"^({LABEL}(\.{LABEL})*)?$",
        description="Secret in the sessions' namespace with which nodes pull images",
    )
    secret: Secret = Field(
        SecretStr(""), description="key that signs tokens, 32 random characters or more; on one machine it is made once"
    )
    public_url: str = Field("", description="public address of this Bindery; empty: the address in each request")
    port: int = Field(8585, ge=0, le=65535, description="port of the local front, on loopback; 0: any free port")

    preset: str = Field(
        "",
        pattern="^(|egi|mybinder)$",
        description="session limits of a community, `egi` or `mybinder`; explicit settings override them",
    )
    launch_title: str = Field("Bindery", description="name of this instance on its pages")
    build_seconds: int = Field(
        1800, ge=10, description="maximum duration of a build; a launch may take 10 minutes longer"
    )
    start_seconds: float = Field(
        600,
        gt=0,
        description="maximum duration of a session's start, the time in which the cluster makes room included",
    )
    stream_seconds: float = Field(
        840, ge=0, description="maximum duration of an event stream; 0: no limit, as with `make up`"
    )
    page_stream_seconds: float = Field(
        0,
        ge=0,
        description="maximum duration of an event stream of Bindery's own page, which resumes it and polls while a "
        "build runs; 0: as for other clients",
    )
    build_slots: int = Field(2, ge=1, description="builds at one time; others wait in line")
    image_days: int = Field(
        0,
        ge=0,
        description="an image that was not launched for this many days is deleted from the registry, and built again "
        "when needed; 0: never",
    )
    disk_bytes: int = Field(
        20_000_000_000, ge=0, description="disk for environments; the least recently used are removed first"
    )
    idle_seconds: float = Field(600, ge=0, description="a session without activity for this long is stopped; 0: never")
    max_age_seconds: float = Field(21600, ge=0, description="a session of this age is stopped; 0: never")
    busy_seconds: float = Field(
        86400,
        ge=0,
        description="maximum time for which a busy kernel alone counts as activity; 0: no limit",
    )
    cull_seconds: float = Field(60, gt=0, description="interval at which sessions are polled for their activity")
    reconcile_seconds: float = Field(
        60,
        gt=0,
        description="interval of the reconcile timer on one machine: it finds lost messages, builds and sessions",
    )
    quota_total: Count = Field(200, description="sessions at one time; 0: no limit")
    quota_per_repository: Count = Field(100, description="sessions of one repository at one time; 0: no limit")
    quota_per_owner: Count = Field(None, description="sessions of one owner's repositories at one time; 0: no limit")
    quota_favoured: Count = Field(
        None, description="sessions of one repository at one time, for those that match `favoured_specs`; 0: no limit"
    )
    favoured_specs: Patterns = Field(
        (), description="JSON list of patterns of the repositories that have `quota_favoured`"
    )
    spec_rules: SpecConfigs = Field(
        (),
        description='JSON list of quotas by pattern: `[{"pattern": "^gh/owner/", "config": {"quota": 5}}]`; the '
        "first match counts",
    )
    banned_specs: Patterns = Field(
        (), description="JSON list of patterns that are not launched; overrides `allowed_specs`"
    )
    allowed_specs: Patterns = Field(
        (), description="JSON list of patterns; if not empty, only repositories that match are launched"
    )
    providers_off: ProviderNames = Field(
        (), description="providers that are switched off, such as `gist`, comma-separated"
    )
    own_refs_only: bool = Field(
        False,
        description="`true`: commits that are on no branch or tag of the repository itself are refused, such as "
        "those of pull requests and forks, which hosts show under the same name",
    )
    ban_networks: Networks = Field((), description="networks of clients that are refused, CIDR, comma-separated")
    trusted_proxies: Networks = Field(
        (),
        description="networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are trusted, CIDR, "
        "comma-separated",
    )
    rate_limit: int = Field(
        10,
        ge=1,
        description="launches per client and `rate_seconds` without a page's build token, and DOI lookups; `make up` "
        "sets 1000",
    )
    rate_seconds: int = Field(3600, ge=1, description="window of `rate_limit` and `page_rate_limit`")
    page_rate_limit: Count = Field(
        60,
        description="launches per client and `rate_seconds` in total; 0: no limit. Not for this machine's own clients",
    )
    client_streams: Count = Field(
        10, description="event streams of one client at one time; 0: no limit. Not for this machine's own clients"
    )
    client_builds: Count = Field(
        1,
        description="builds of one client that run while others wait; a further one does not take the last free "
        "slot. 0: no limit. Not for this machine's own clients",
    )
    client_line: Count = Field(
        3, description="builds of one client that wait in line; 0: no limit. Not for this machine's own clients"
    )
    owner_builds: Count = Field(
        1, description="`client_builds` for the repositories of one owner; counted like `owner_line`"
    )
    owner_line: Count = Field(
        30,
        description="`client_line` for the repositories of one owner; the same number again for commits of pull "
        "requests and forks of them",
    )
    client_sessions: Count = Field(
        10, description="sessions of one client at one time; 0: no limit. Not for this machine's own clients"
    )
    cors_allow_origin: str = Field(
        "",
        description="`Access-Control-Allow-Origin` of the event stream and the API. `listed`: the origin of the "
        "request, if it is in `allowed_origins`; `none`: no header; empty: `*`, or `listed` with private "
        "repositories",
    )
    allowed_origins: Words = Field(
        (),
        description="sites that may launch here without Bindery's page, private repositories included, "
        "comma-separated; `cors_allow_origin` sets which sites may read the answers",
    )

    metrics_token: MetricsToken = Field(
        SecretStr(""), description="bearer token that opens `/metrics`, 16 characters or more"
    )
    metrics_networks: Networks = Field(
        (),
        description="networks of clients that read `/metrics` without a token, CIDR, comma-separated",
    )

    allowed_private_hosts: Words = Field(
        (),
        description="`host` or `host:port` at private addresses from which repositories may be fetched, "
        "comma-separated",
    )
    github_url: Address = Field("https://github.com", description="GitHub, or an Enterprise server")
    github_api_url: Address = Field(
        "https://api.github.com", description="REST API of GitHub, or of an Enterprise server"
    )
    github_token: Token = Field(
        SecretStr(""), description="token of GitHub; raises the rate limit; sent to no other host"
    )
    github_app_installation: str = Field("", pattern="^[0-9]*$", description="installation number of the GitHub App")
    github_app_key: SecretStr = Field(
        SecretStr(""), description="private key of the GitHub App, PEM; \\n may separate its lines"
    )
    github_app_id: str = Field(
        "",
        validate_default=True,
        description="id of a GitHub App, whose tokens are used in place of `github_token`; needs "
        "`github_app_installation` and `github_app_key`",
    )
    gist_url: Address = Field(
        "https://gist.github.com", description="GitHub Gist, or the gists of an Enterprise server"
    )
    secret_gists: bool = Field(False, description="`true`: gists that are listed nowhere may be launched, too")
    gitlab_url: Address = Field("https://gitlab.com", description="GitLab, or a GitLab server of your own")
    gitlab_token: Token = Field(
        SecretStr(""), description="token of GitLab; raises the rate limit; sent to no other host"
    )
    private_repositories: PrivateNames = Field(
        (),
        description="private repositories that may be launched with their host's token, such as `gh/owner/name` or "
        "`gl/group/*`, comma-separated. Every visitor of this Bindery can read them",
    )
    doi_url: Address = Field("https://doi.org", description="resolver of DOIs")
    zenodo_api_url: Address = Field(
        "https://zenodo.org/api", description="API of Zenodo, or of another InvenioRDM host"
    )
    figshare_api_url: Address = Field("https://api.figshare.com/v2", description="API of Figshare")
    figshare_hosts: Words = Field(
        (), description="Figshare hosts of institutions, to which DOIs may lead, comma-separated"
    )
    dataverse_hosts: Words = Field((), description="Dataverse hosts besides the known ones, comma-separated")
    hydroshare_api_url: Address = Field("https://www.hydroshare.org/hsapi", description="API of HydroShare")
    log_level: str = Field(
        "INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="`DEBUG`, `INFO`, `WARNING` or `ERROR`"
    )

    @field_validator("registry", "launcher")
    @classmethod
    def _works_with_the_builder(cls, value: str, info: ValidationInfo) -> str:
        """Return the value if the builder supports it. Raises ValueError."""
        if info.data.get("builder") == "uv" and value == "kubernetes":
            raise ValueError("it starts images: set BINDERY_BUILDER=container")
        builder = info.data.get("builder")
        if builder in ("container", "codebuild") and value == UNFIT_FOR_CONTAINERS[info.field_name or ""]:
            raise ValueError(f"BINDERY_BUILDER={builder} needs {NEEDED_BY_CONTAINERS[info.field_name or '']}")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_not_everybody(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Return the networks if none of them contains every address. Raises ValueError."""
        if any(network.endswith("/0") for network in value):
            raise ValueError(
                "who trusts every address believes whatever any client says: name the proxies' own networks"
            )
        return value

    @field_validator("private_repositories")
    @classmethod
    def _can_be_kept(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """Return the names if the other settings keep these repositories private. Raises ValueError."""
        if value and info.data.get("launcher") == "process":
            raise ValueError(
                "sessions that are processes of this machine can read the token: set BINDERY_LAUNCHER=kubernetes"
            )
        if value and "*" in (info.data.get("cors_allow_origin"), *(info.data.get("allowed_origins") or ())):
            raise ValueError(
                "with * in BINDERY_CORS_ALLOW_ORIGIN or BINDERY_ALLOWED_ORIGINS every web page could read them: name the sites"
            )
        for host, names in HOSTS_TOKENS.items():
            tokens = [str(info.data.get(name) or "") for name in names]
            if not any(tokens) and any(each.startswith(f"{host}/") for each in value):
                raise ValueError(f"{host}/... needs a token: BINDERY_{names[0].upper()}")
        return value

    @field_validator("github_app_key")
    @classmethod
    def _lines(cls, value: SecretStr) -> SecretStr:
        return SecretStr(value.get_secret_value().replace("\\n", "\n"))

    @field_validator("github_app_id")
    @classmethod
    def _is_whole(cls, value: str, info: ValidationInfo) -> str:
        """Return the GitHub App's id if its key and installation are set too. Raises ValueError."""
        key = info.data.get("github_app_key") or SecretStr("")
        if len({bool(value), bool(info.data.get("github_app_installation")), bool(key.get_secret_value())}) > 1:
            raise ValueError("a GitHub App needs its id, its key and its installation")
        return value

    @field_validator("kubeconfig_secret")
    @classmethod
    def _is_the_only_way(cls, value: str, info: ValidationInfo) -> str:
        """Return the secret's name if no other cluster is set. Raises ValueError."""
        if value and info.data.get("eks_cluster"):
            raise ValueError("sessions run on one cluster: set BINDERY_EKS_CLUSTER or this, not both")
        return value

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Return the settings from environment variables; an empty one counts as absent.

        Raises pydantic's ValidationError, which names the setting.
        """
        variables = {name: environment.get(f"BINDERY_{name.upper()}", "") for name in cls.model_fields}
        values = {name: text for name, text in variables.items() if text}
        return cls.model_validate({**PRESETS.get(values.get("preset", ""), {}), **values})

    @property
    def allow_origin(self) -> str:
        """Return the value of `Access-Control-Allow-Origin` for every site. Empty: no header, or only for `reading_origins`."""
        if self._reads == "listed":
            return "*" if "*" in self.allowed_origins else ""
        return "" if self._reads == "none" else self._reads

    @property
    def reading_origins(self) -> tuple[str, ...]:
        """Return the sites that get their own origin in `Access-Control-Allow-Origin`."""
        return self.allowed_origins if self._reads == "listed" and "*" not in self.allowed_origins else ()

    @property
    def _reads(self) -> str:
        return self.cors_allow_origin or ("listed" if self.private_repositories else "*")

    @property
    def git_servers(self) -> tuple[str, ...]:
        """Return the addresses of the git servers with an API. They ignore the case of repository names."""
        return self.github_url, self.gist_url, self.gitlab_url

    @property
    def host_apis(self) -> tuple[str, ...]:
        """Return the addresses of the APIs that providers use."""
        records = (self.zenodo_api_url, self.figshare_api_url, self.hydroshare_api_url, self.doi_url)
        return self.github_api_url, f"{self.gitlab_url.rstrip('/')}/api", *records

    @property
    def resources(self) -> Resources:
        """Return the resources of each session, without the other settings."""
        return Resources.model_validate({name: getattr(self, name) for name in Resources.model_fields})
