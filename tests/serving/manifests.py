"""The shipped Kubernetes manifests as objects, read as kustomize reads them, without needing it."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

Body = dict[str, Any]
FOLDER = Path(__file__).parents[2] / "infra" / "kubernetes"


class Manifests:
    """The objects of a folder. Only those features of kustomize are supported that our folders use."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.objects = list(_of(folder))

    def all(self, kind: str) -> list[Body]:
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str, name: str) -> Body:
        (manifest,) = (each for each in self.all(kind) if each["metadata"]["name"] == name)
        return manifest


def _of(folder: Path) -> Iterator[Body]:
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    patches = [yaml.safe_load(patch["patch"]) for patch in kustomization.get("patches", [])]
    for name in kustomization["resources"]:
        path = folder / name
        for each in _of(path) if path.is_dir() else filter(None, yaml.safe_load_all(path.read_text())):
            patched = each
            for patch in patches:
                if _name(patch) == _name(each):
                    patched = _merged(patched, patch)
            yield patched
    for generator in kustomization.get("configMapGenerator", []):
        files = {Path(name).name: (folder / name).read_text() for name in generator.get("files", [])}
        literals = dict(literal.split("=", 1) for literal in generator.get("literals", []))
        yield {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": generator["name"], "namespace": generator["namespace"]},
            "data": {**files, **literals},
        }


def _name(body: Body) -> tuple[str, str, str]:
    return body["kind"], body["metadata"].get("namespace", ""), body["metadata"]["name"]


def _merged(body: Body, patch: Body) -> Body:
    """Return the strategic merge of a body and a patch, for lists without a key."""
    both = {
        key: _merged(body[key], value) if isinstance(value, dict) and isinstance(body.get(key), dict) else value
        for key, value in patch.items()
    }
    return {**body, **both}


def selects(selector: Body, labels: Mapping[str, str]) -> bool:
    """Return True if a label selector of ours selects Pods with these labels."""
    exact = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    within = all(labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", []))
    return exact and within


def find_kubectl() -> str | None:
    """Return the kubectl among the binaries that `KUBEBUILDER_ASSETS` names, or on PATH."""
    assets = os.environ.get("KUBEBUILDER_ASSETS", "")
    return shutil.which("kubectl", path=os.pathsep.join(filter(None, [assets, os.environ.get("PATH", "")])))


def rendered(kubectl: str, folder: Path) -> list[Body]:
    """Return kubectl's rendering of a folder; raise CalledProcessError."""
    ran = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(ran.stdout))
