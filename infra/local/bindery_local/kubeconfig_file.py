"""How Bindery is known to a cluster by a file, or as a Pod of it. Anything that kubectl understands."""

import time

from kubernetes.client import ApiClient
from kubernetes.config import ConfigException, load_incluster_config, new_client_from_config
from yaml import YAMLError

from bindery.adapters.kubernetes.access import LOOK_AGAIN_SECONDS, Entry
from bindery.domain.errors import LauncherDown


class FileAccess:
    """By the Kubernetes client's own reading of files, which also runs the commands that they name.

    It sets itself up anew each time that it is asked what to show: that took as long as all else of a request.
    """

    def __init__(self, client: ApiClient) -> None:
        self.name = str(client.configuration.host)
        self._client = client
        self._look()

    def entry(self) -> Entry:
        if time.monotonic() > self._until:
            self._look()
        return self._entry

    def _look(self) -> None:
        shown = self._client.configuration.auth_settings().get("BearerToken", {})
        self._entry = Entry(self.name, self._client.rest_client.pool_manager, str(shown.get("value") or ""))
        self._until = time.monotonic() + LOOK_AGAIN_SECONDS

    def renewed(self, refused: Entry, /) -> bool:
        """By what the client itself renews: a token that expires, minutes before. A file that changed the next start reads."""
        self._look()
        return self._entry != refused

    def moved(self, _silent: Entry, /) -> bool:
        return False

    def close(self) -> None:
        self._client.rest_client.pool_manager.clear()


def access_of(kubeconfig: str) -> FileAccess:
    """From a kubeconfig file; empty: as kubectl finds it (`KUBECONFIG`, `~/.kube/config`), else as a Pod is told.

    Raises LauncherDown, which says what is missing.
    """
    try:
        client: ApiClient = new_client_from_config(config_file=kubeconfig or None)
    except ConfigException as error:
        if kubeconfig:
            raise LauncherDown(
                why=f"BINDERY_KUBECONFIG, {kubeconfig}, cannot be used: {str(error).rstrip('.')}"
            ) from error
        client = _as_a_pod()
    except OSError as error:
        raise LauncherDown(why=f"{error.filename or 'its kubeconfig'} cannot be read: {error.strerror}") from error
    except (YAMLError, ValueError, TypeError, KeyError, AttributeError):  # whose words may be the file's
        raise LauncherDown(why=f"{kubeconfig or 'what KUBECONFIG names'} is no kubeconfig") from None
    return FileAccess(client)


def _as_a_pod() -> ApiClient:
    try:
        load_incluster_config()
    except ConfigException:
        raise LauncherDown(why="no cluster is set: set KUBECONFIG or BINDERY_KUBECONFIG") from None
    return ApiClient()
