"""Access to a cluster by a kubeconfig file, or as a Pod of the cluster. Supports every configuration that kubectl supports."""

import time

from kubernetes.client import ApiClient
from kubernetes.config import ConfigException, load_incluster_config, new_client_from_config
from yaml import YAMLError

from bindery.adapters.kubernetes.access import LOOK_AGAIN_SECONDS, Entry
from bindery.domain.errors import LauncherDown


class FileAccess:
    """Access by the Kubernetes client's own reading of files. The client also runs the commands that the files name.

    The client sets itself up again at each request for credentials, which took as long as the rest of a request. Hence the cached
    entry.
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
        token = self._client.configuration.auth_settings().get("BearerToken", {})
        self._entry = Entry(self.name, self._client.rest_client.pool_manager, str(token.get("value") or ""))
        self._until = time.monotonic() + LOOK_AGAIN_SECONDS

    def renewed(self, refused: Entry, /) -> bool:
        """Read the credentials again. Return True if they changed.

        The client renews a token minutes before it expires. A changed file is read only at the next start.
        """
        self._look()
        return self._entry != refused

    def moved(self, _silent: Entry, /) -> bool:
        return False

    def close(self) -> None:
        self._client.rest_client.pool_manager.clear()


def access_of(kubeconfig: str) -> FileAccess:
    """Return access by a kubeconfig file. Empty: the file that kubectl would use (`KUBECONFIG`, `~/.kube/config`), else a Pod's
    access.

    Raises LauncherDown with the missing part.
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
    except (YAMLError, ValueError, TypeError, KeyError, AttributeError):  # their messages may quote the file
        raise LauncherDown(why=f"{kubeconfig or 'what KUBECONFIG names'} is no kubeconfig") from None
    return FileAccess(client)


def _as_a_pod() -> ApiClient:
    try:
        load_incluster_config()
    except ConfigException:
        raise LauncherDown(why="no cluster is set: set KUBECONFIG or BINDERY_KUBECONFIG") from None
    return ApiClient()
