"""etcd, API server, controller manager, scheduler: all on loopback."""

import ssl
from contextlib import suppress
from pathlib import Path

import httpx
from joserfc.jwk import RSAKey

from tests.cluster.accounts import write_accounts
from tests.cluster.daemons import Daemon
from tests.cluster.place import Place

ISSUER = "https://kubernetes.default.svc"
SERVICES = "10.96.0.0/16"
LOST_NODE_AFTER = "20s"  # a machine with two busy cores renews late, but before this time


def server(place: Place) -> str:
    return f"https://127.0.0.1:{place.port('api')}"


def certificate(place: Place) -> Path:
    """Return the certificate that the API server makes for itself. Clients take it as their CA."""
    return place.folder / "certificates" / "apiserver.crt"


def ready(place: Place) -> bool:
    """Return True if the API server reports that it is ready."""
    with suppress(httpx.HTTPError, OSError):
        trusted = ssl.create_default_context(cafile=certificate(place))
        return httpx.get(f"{server(place)}/readyz", verify=trusted, trust_env=False).is_success
    return False


def etcd(place: Place, binaries: Path) -> Daemon:
    client, peer = (f"http://127.0.0.1:{place.port(name)}" for name in ("etcd", "etcd-peer"))
    command = [
        binaries / "etcd",
        f"--data-dir={place.folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]
    return Daemon("etcd", place.folder, tuple(map(str, command)))


def api_server(place: Place, binaries: Path, *options: str) -> Daemon:
    key = _service_account_key(place)
    command = [
        binaries / "kube-apiserver",
        f"--etcd-servers=http://127.0.0.1:{place.port('etcd')}",
        "--bind-address=127.0.0.1",
        f"--secure-port={place.port('api')}",
        f"--advertise-address={place.host_address}",
        "--endpoint-reconciler-type=none",
        f"--cert-dir={certificate(place).parent}",
        "--authorization-mode=Node,RBAC",
        f"--token-auth-file={write_accounts(place.folder, server(place), certificate(place))}",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        f"--service-account-issuer={ISSUER}",
        f"--service-cluster-ip-range={SERVICES}",
        "--allow-privileged=true",
        "--kubelet-preferred-address-types=Hostname",
        *options,
    ]
    return Daemon("kube-apiserver", place.folder, tuple(map(str, command)))


def controller_manager(place: Place, binaries: Path) -> Daemon:
    command = [
        binaries / "kube-controller-manager",
        *_as_administrator(place),
        f"--secure-port={place.port('controllers')}",
        f"--service-account-private-key-file={_service_account_key(place)}",
        f"--root-ca-file={certificate(place)}",
        f"--node-monitor-grace-period={LOST_NODE_AFTER}",
        "--node-monitor-period=1s",
    ]
    return Daemon("kube-controller-manager", place.folder, tuple(map(str, command)))


def scheduler(place: Place, binaries: Path) -> Daemon:
    command = [binaries / "kube-scheduler", *_as_administrator(place), f"--secure-port={place.port('scheduler')}"]
    return Daemon("kube-scheduler", place.folder, tuple(map(str, command)))


def _as_administrator(place: Place) -> list[str]:
    kubeconfig = place.folder / "admin.kubeconfig"
    options = [f"--{use}kubeconfig={kubeconfig}" for use in ("", "authentication-", "authorization-")]
    return [*options, "--leader-elect=false", "--bind-address=127.0.0.1", "--kube-api-qps=200", "--kube-api-burst=400"]


def _service_account_key(place: Place) -> Path:
    path = place.folder / "service-accounts.pem"
    if not path.exists():
        path.write_bytes(RSAKey.generate_key(2048).as_pem(private=True))
    return path
