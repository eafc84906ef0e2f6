"""Traefik as the Gateway, on the host: it reaches the Pods through their bridge.

It has a certificate to fall back on, as a gateway with HTTPS has: without one it makes a new RSA key at every change of its
configuration, which takes 40 to 80 ms.
"""

import json
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
    certificates = place.folder / "certificates"
    certificate = {"certFile": f"{certificates}/apiserver.crt", "keyFile": f"{certificates}/apiserver.key"}
    settings = place.folder / "traefik.yml"
    settings.write_text(json.dumps({"tls": {"stores": {"default": {"defaultCertificate": certificate}}}}))
    command = [
        binaries / "traefik",
        f"--entrypoints.http.address=127.0.0.1:{place.port('gateway')}",
        "--providers.kubernetesgateway=true",
        "--providers.kubernetesgateway.statusaddress.ip=127.0.0.1",
        f"--providers.file.filename={settings}",
        "--providers.providersthrottleduration=10ms",  # the default of 2 s delays each new route
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
    ]
    environment = {"KUBECONFIG": str(place.folder / "admin.kubeconfig")}
    return Daemon("traefik", place.folder, tuple(map(str, command)), environment)
