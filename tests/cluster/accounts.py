"""Who may ask the API server: an administrator and the node by tokens in a file, others by their kubeconfig."""

import json
import secrets
from pathlib import Path

ACCOUNTS = {"admin": ("bindery-test-admin", "system:masters"), "node": ("system:node:localhost", "system:nodes")}


def write_accounts(folder: Path, server: str, certificate: Path) -> Path:
    """A kubeconfig for each account, and the file that tells the API server of them."""
    lines = []
    for account, (user, group) in ACCOUNTS.items():
        token = secrets.token_hex(16)
        lines.append(f'{token},{user},{user},"{group}"\n')
        write_kubeconfig(folder / f"{account}.kubeconfig", server, certificate, token)
    tokens = folder / "tokens.csv"
    tokens.write_text("".join(lines))
    return tokens


def write_kubeconfig(path: Path, server: str, certificate: Path, token: str, namespace: str = "default") -> Path:
    """certificate: the API server's own, which it makes at its first start."""
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
