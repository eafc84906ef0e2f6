"""How Bindery is known to a cluster."""

from kubernetes.client import ApiClient
from kubernetes.config import ConfigException, load_incluster_config, new_client_from_config

from bindery.domain.errors import LauncherDown


def client_of(kubeconfig: str) -> ApiClient:
    """From a kubeconfig file; empty: as kubectl finds it (`KUBECONFIG`, `~/.kube/config`), else as a Pod is told.

    Raises LauncherDown, which says what is missing.
    """
    try:
        client: ApiClient = new_client_from_config(config_file=kubeconfig or None)
    except ConfigException as error:
        if kubeconfig:
            raise LauncherDown(why=f"BINDERY_KUBECONFIG cannot be used: {error}") from error
        return _as_a_pod()
    return client


def _as_a_pod() -> ApiClient:
    try:
        load_incluster_config()
    except ConfigException:
        raise LauncherDown(why="no cluster is set: set KUBECONFIG or BINDERY_KUBECONFIG") from None
    return ApiClient()
