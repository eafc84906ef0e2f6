"""Kubeconfigs as secrets hold them."""

import base64
import json
from pathlib import Path

import yaml


def authority_of(path: Path) -> str:
    """Return the authority of its cluster, in PEM and base64, as in `certificate-authority-data` and as EKS returns it."""
    (cluster,) = yaml.safe_load(path.read_text())["clusters"]
    return base64.b64encode(Path(cluster["cluster"]["certificate-authority"]).read_bytes()).decode()


def inlined(path: Path, **user: str) -> str:
    """Return the kubeconfig with its authority inside. user: the fields that differ."""
    config = yaml.safe_load(path.read_text())
    (cluster,), (bindery,) = config["clusters"], config["users"]
    del cluster["cluster"]["certificate-authority"]
    cluster["cluster"]["certificate-authority-data"] = authority_of(path)
    bindery["user"].update(user)
    return json.dumps(config)
