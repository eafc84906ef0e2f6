"""Parser for self-contained kubeconfigs in secrets: a function does not have the files or commands that a kubeconfig may name."""

import base64
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from urllib3 import PoolManager

from bindery.adapters.kubernetes.access import trusting
from bindery.domain.safe_yaml import LARGEST_ELSEWHERE, NotPlain, plain_yaml

Part = Mapping[str, object]
ELSEWHERE: Mapping[str, str] = {
    "certificate-authority": "put it into certificate-authority-data",
    "client-certificate": "put it into client-certificate-data",
    "client-key": "put it into client-key-data",
    "tokenFile": "put the token itself into token",
    "exec": "put a token into token",
    "auth-provider": "put a token into token",
    "username": "put a token into token",
    "insecure-skip-tls-verify": "put the cluster's authority into certificate-authority-data",
    "proxy-url": "leave it out: functions reach the cluster themselves",
}


class Unusable(ValueError):
    """Error for an unusable kubeconfig. Its message contains no text of the kubeconfig."""


@dataclass(frozen=True)
class Kubeconfig:
    """Cluster and user of a kubeconfig. authority, certificate, key: PEM. tls_name: name in the server's certificate, if not its host."""

    address: str
    authority: str
    tls_name: str
    certificate: str = field(repr=False)
    key: str = field(repr=False)
    token: str = field(repr=False)

    @property
    def way(self) -> tuple[str, ...]:
        """Return the settings that an open connection depends on."""
        return self.address, self.authority, self.tls_name, self.certificate, self.key

    def pool(self) -> PoolManager:
        """Return a connection pool for the cluster. Raises Unusable."""
        try:
            context = trusting(self.authority)
            if self.certificate:
                _show(context, self.certificate + "\n" + self.key)
        except (ValueError, ssl.SSLError):
            raise Unusable("a certificate or key in it is none") from None
        if self.tls_name:
            return PoolManager(ssl_context=context, server_hostname=self.tls_name, assert_hostname=self.tls_name)
        return PoolManager(ssl_context=context)


def read(text: str) -> Kubeconfig:
    """Return the cluster and the user of a kubeconfig's current context. Raises Unusable."""
    try:
        config = _part(plain_yaml(text, LARGEST_ELSEWHERE), "it")
    except NotPlain as error:
        raise Unusable(f"it {error}") from None
    context = _part(_named(config, "contexts", str(config.get("current-context", ""))).get("context"), "its context")
    cluster = _part(_named(config, "clusters", str(context.get("cluster", ""))).get("cluster"), "its cluster")
    user = _part(_named(config, "users", str(context.get("user", ""))).get("user"), "its user")
    for key in (*cluster, *user):
        if advice := ELSEWHERE.get(key):
            raise Unusable(f"{key} does not count here: {advice}")
    address, token = _text(cluster, "server"), _text(user, "token")
    certificate, key = _decoded(user, "client-certificate-data"), _decoded(user, "client-key-data")
    if not address.startswith("https://"):
        raise Unusable("its cluster's server is no https:// address")
    if not token and not (certificate and key):
        raise Unusable("its user has neither a token nor a client certificate with its key")
    authority = _decoded(cluster, "certificate-authority-data")
    return Kubeconfig(address.rstrip("/"), authority, _text(cluster, "tls-server-name"), certificate, key, token)


def _part(value: object, description: str) -> Part:
    if not isinstance(value, dict):
        raise Unusable(f"{description} is not what a kubeconfig has there")
    return value


def _named(config: Part, kind: str, name: str) -> Part:
    listed = config.get(kind)
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict) and each.get("name") == name:
            return each
    raise Unusable(f"its current context leads to none of its {kind}")


def _text(part: Part, key: str) -> str:
    text = part.get(key, "")
    if not isinstance(text, str) or any(character < " " or character > "~" for character in text):
        raise Unusable(f"{key} is no line of text")
    return text


def _decoded(part: Part, key: str) -> str:
    try:
        return base64.b64decode(_text(part, key)).decode("ascii")
    except ValueError:
        raise Unusable(f"{key} is not what a kubeconfig has there") from None


def _show(context: ssl.SSLContext, pem: str) -> None:
    """Load a client certificate with its key. OpenSSL reads it only from a file: a temporary one, readable by its owner only."""
    handle, path = tempfile.mkstemp()
    try:
        with os.fdopen(handle, "w") as file:
            file.write(pem)
        context.load_cert_chain(path)
    finally:
        Path(path).unlink()
