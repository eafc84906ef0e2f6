"""Access to a cluster with a kubeconfig that is stored in Secrets Manager.

The secret is read again every few minutes, and when the cluster refuses the credentials or does not respond. A new kubeconfig
therefore takes effect without a redeploy.
"""

from typing import TYPE_CHECKING

from bindery.adapters.aws.errors import cluster_trouble
from bindery.adapters.kubernetes.access import LOOK_AGAIN_SECONDS, Entry, bearer
from bindery.adapters.kubernetes.kubeconfig import Kubeconfig, Unusable, read
from bindery.domain.errors import ClusterRefused, LauncherDown
from bindery.ports.clock import Clock

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

LOOK_SECONDS = 300
LASTING = {
    "AccessDeniedException",
    "DecryptionFailure",
    "ExpiredTokenException",
    "InvalidRequestException",  # the secret is being deleted
    "ResourceNotFoundException",
    "UnrecognizedClientException",
}


class SecretAccess:
    """Access by a kubeconfig in a secret. secret: its name or ARN. The last version stays in use while the secret cannot be read."""

    def __init__(self, secret: str, client: "SecretsManagerClient", clock: Clock) -> None:
        self.name = f"the cluster of secret {secret}"
        self._secret = secret
        self._client = client
        self._clock = clock
        self._version = ""
        self._config: Kubeconfig | None = None
        self._entry: Entry | None = None
        self._read_at = float("-inf")
        self._refused: ClusterRefused | None = None

    def entry(self) -> Entry:
        if self._entry is None and self._refused and self._clock.now() - self._read_at < LOOK_AGAIN_SECONDS:
            raise ClusterRefused(**self._refused.facts)
        if self._entry is None:
            self._look()
        elif self._clock.now() - self._read_at >= LOOK_SECONDS:
            self._look_if_possible()
        assert self._entry is not None  # noqa: S101  # else `_look` has raised an error
        return self._entry

    def renewed(self, refused: Entry) -> bool:
        if self._entry is refused:
            self._look_again()
        return self._entry is not refused

    def moved(self, silent: Entry) -> bool:
        if self._leads_as(silent):
            self._look_again()
        return not self._leads_as(silent)

    def _leads_as(self, entry: Entry) -> bool:
        return self._entry is not None and self._entry.pool is entry.pool

    def close(self) -> None:
        if self._entry:
            self._entry.pool.clear()

    def _look_again(self) -> None:
        """Read the secret again, unless it was read a moment ago: a cluster may refuse all requests for hours."""
        if self._clock.now() - self._read_at >= LOOK_AGAIN_SECONDS:
            self._look_if_possible()

    def _look_if_possible(self) -> None:
        try:
            self._look()
        except LauncherDown:
            if self._entry is None:
                raise

    def _look(self) -> None:
        """Read the secret and remember its refusal. Raises ClusterRefused, LauncherDown."""
        self._read_at = self._clock.now()
        self._refused = None
        try:
            self._read()
        except ClusterRefused as error:
            self._refused = error
            raise

    def _read(self) -> None:
        """Read the secret and use its kubeconfig. Raises ClusterRefused, LauncherDown."""
        version, text = self._stored()
        if version == self._version and self._entry:
            return
        try:
            self._take(read(text))
        except Unusable as error:
            self._entry = None  # the operator changed the secret on purpose: its old value is no longer valid
            raise ClusterRefused(why=f"secret {self._secret} cannot be used: {error}") from None
        self._version = version

    def _take(self, config: Kubeconfig) -> None:
        """Use a kubeconfig. Reuse the open connections if the cluster and the client certificate are still the same."""
        same = self._entry is not None and self._config is not None and self._config.way == config.way
        pool = self._entry.pool if same and self._entry else config.pool()
        self._config = config
        self._entry = Entry(config.address, pool, bearer(config.token) if config.token else "")

    def _stored(self) -> tuple[str, str]:
        secret = f"secret {self._secret}"
        with cluster_trouble(f"read {secret}", f"{secret} cannot be read", LASTING):
            answer = self._client.get_secret_value(SecretId=self._secret)
        return answer["VersionId"], answer.get("SecretString", "")
