"""How Bindery is known to a cluster."""

from kubernetes.client import ApiClient
from kubernetes.config import ConfigException, load_incluster_config, new_client_from_config
from yaml import YAMLError

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
    except OSError as error:
        raise LauncherDown(why=f"{error.filename or 'its kubeconfig'} cannot be read: {error.strerror}") from error
    except (YAMLError, ValueError, TypeError, KeyError, AttributeError):  # whose words may be the file's
        raise LauncherDown(why=f"{kubeconfig or 'what KUBECONFIG names'} is no kubeconfig") from None
    return client


def _as_a_pod() -> ApiClient:
    try:
        load_incluster_config()
    except ConfigException:
        raise LauncherDown(why="no cluster is set: set KUBECONFIG or BINDERY_KUBECONFIG") from None
    return ApiClient()
