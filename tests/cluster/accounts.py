"""The accounts of the API server. The administrator and the node use tokens in a file, other accounts use their
kubeconfig.
"""

import json
import secrets
from pathlib import Path

ACCOUNTS = {"admin": ("bindery-test-admin", "system:masters"), "node": ("system:node:localhost", "system:nodes")}


def write_accounts(folder: Path, server: str, certificate: Path) -> Path:
    """Write a kubeconfig for each account, and the token file that the API server reads."""
    lines = []
    for account, (user, group) in ACCOUNTS.items():
        token = secrets.token_hex(16)
        lines.append(f'{token},{user},{user},"{group}"\n')
        write_kubeconfig(folder / f"{account}.kubeconfig", server, certificate, token)
    tokens = folder / "tokens.csv"
    tokens.write_text("".join(lines))
    return tokens


def write_kubeconfig(path: Path, server: str, certificate: Path, token: str, namespace: str = "default") -> Path:
    """Write a kubeconfig.

    certificate: the API server's own certificate, which it makes at its first start.
    """
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority": str(certificate)}}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
        "current-context": "test",
    }
    path.write_text(json.dumps(config, indent=1))
    path.chmod(0o600)
    return path
