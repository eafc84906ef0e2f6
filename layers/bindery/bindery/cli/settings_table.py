"""Tables of settings in infra/docs/settings.md, made from the descriptions of the settings."""

from collections.abc import Mapping, Sequence

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from bindery.settings import Settings

COLUMNS = ("variable", "default", "meaning")
GROUPS: Mapping[str, Sequence[str]] = {
    "This instance": (
        *("home", "port", "public_url", "launch_title", "secret", "log_level", "reconcile_seconds"),
        *("stream_seconds", "page_stream_seconds"),
    ),
    "Repositories and their hosts": (
        *("allowed_private_hosts", "github_url", "github_api_url", "github_token"),
        *("github_app_id", "github_app_installation", "github_app_key", "gist_url", "secret_gists"),
        *("gitlab_url", "gitlab_token", "private_repositories", "doi_url", "zenodo_api_url"),
        *("figshare_api_url", "figshare_hosts", "dataverse_hosts", "hydroshare_api_url"),
    ),
    "Builds": (
        *("builder", "build_seconds", "build_slots", "image_days", "disk_bytes", "conda_channels", "container_tool"),
        *("registry", "registry_user", "registry_password", "base_image", "docker_hub_login"),
    ),
    "Sessions": (
        *("launcher", "preset", "start_seconds", "idle_seconds", "max_age_seconds", "busy_seconds", "cull_seconds"),
        *("kubeconfig", "namespace", "gateway", "sessions_url", "pull_secret"),
    ),
    "Resources of a session on Kubernetes": (
        *("memory_guarantee", "memory_limit", "cpu_guarantee", "cpu_limit", "storage_guarantee", "storage_limit"),
        *("gpus", "gpu_resource", "node_selector", "tolerations", "runtime_class", "user_namespaces"),
        "session_environment",
    ),
    "Rules, quotas and limits": (
        *("quota_total", "quota_per_repository", "quota_per_owner", "quota_favoured", "favoured_specs", "spec_rules"),
        *("banned_specs", "allowed_specs", "providers_off", "own_refs_only", "ban_networks", "trusted_proxies"),
        *("rate_limit", "rate_seconds", "page_rate_limit", "client_streams", "client_sessions", "client_builds"),
        *("client_line", "owner_builds", "owner_line", "cors_allow_origin", "allowed_origins"),
        *("metrics_token", "metrics_networks"),
    ),
    "On AWS, where the template sets them": (
        *("table", "queues", "queue_urls", "codebuild_project", "codebuild_layer", "eks_cluster", "kubeconfig_secret"),
    ),
}


def settings_tables() -> str:
    """Return Markdown: a heading and a table for each group of settings."""
    return "\n\n".join(f"## {title}\n\n{_table(names)}" for title, names in GROUPS.items())


def _table(names: Sequence[str]) -> str:
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(_row(name, Settings.model_fields[name]) for name in names)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(name: str, field: FieldInfo) -> tuple[str, ...]:
    return f"`BINDERY_{name.upper()}`", _default(field.default), field.description or ""


def _default(value: object) -> str:
    """Return the default as a variable holds it, empty for a setting that is not set."""
    if isinstance(value, bool):
        return f"`{value}`".lower()
    empty = value is None or (isinstance(value, str | tuple | dict | SecretStr) and not value)
    return "" if empty else f"`{value}`"
