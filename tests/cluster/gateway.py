"""Traefik as the Gateway, on the host: it reaches the Pods through their bridge."""

from pathlib import Path

from tests.cluster.daemons import Daemon
from tests.cluster.place import Place

CLASS = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "GatewayClass",
    "metadata": {"name": "traefik"},
    "spec": {"controllerName": "traefik.io/gateway-controller"},
}


def traefik(place: Place, binaries: Path) -> Daemon:
    command = [
        binaries / "traefik",
        f"--entrypoints.http.address=127.0.0.1:{place.port('gateway')}",
        "--providers.kubernetesgateway=true",
        "--providers.kubernetesgateway.statusaddress.ip=127.0.0.1",
        "--providers.providersthrottleduration=100ms",  # the default of 2 s delays each new route
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
    ]
    environment = {"KUBECONFIG": str(place.folder / "admin.kubeconfig")}
    return Daemon("traefik", place.folder, tuple(map(str, command)), environment)
