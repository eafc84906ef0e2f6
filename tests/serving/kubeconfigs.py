"""Kubeconfigs as secrets hold them."""

import base64
import json
from pathlib import Path

import yaml


def authority_of(path: Path) -> str:
    """Of its cluster, in PEM and base64, as `certificate-authority-data` and as EKS tells it."""
    (cluster,) = yaml.safe_load(path.read_text())["clusters"]
    return base64.b64encode(Path(cluster["cluster"]["certificate-authority"]).read_bytes()).decode()


def inlined(path: Path, **user: str) -> str:
    """The same with its authority inside. user: what differs."""
    config = yaml.safe_load(path.read_text())
    (cluster,), (bindery,) = config["clusters"], config["users"]
    del cluster["cluster"]["certificate-authority"]
    cluster["cluster"]["certificate-authority-data"] = authority_of(path)
    bindery["user"].update(user)
    return json.dumps(config)
