"""Images of a single test. Each is the base image and one more layer, put together in the cluster's registry without
a builder.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from tests.cluster.images import TAG

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
USER = 1000


@dataclass(frozen=True)
class Layer:
    """A layer of an image.

    files: by absolute path; those in `programs` can be run. All files belong to the session's user.
    """

    files: Mapping[str, str | bytes]
    programs: frozenset[str] = frozenset()

    def tar(self) -> bytes:
        """Return the layer in a registry's format."""
        written = io.BytesIO()
        with tarfile.open(fileobj=written, mode="w") as archive:
            for path in sorted({*self.files, *_folders(self.files)}):
                archive.addfile(self._entry(path), io.BytesIO(self._content(path)))
        return written.getvalue()

    def _entry(self, path: str) -> tarfile.TarInfo:
        entry = tarfile.TarInfo(path.lstrip("/"))
        entry.uid = entry.gid = USER
        entry.size = len(self._content(path))
        entry.mode = 0o755 if path not in self.files or path in self.programs else 0o644
        entry.type = tarfile.REGTYPE if path in self.files else tarfile.DIRTYPE
        return entry

    def _content(self, path: str) -> bytes:
        content = self.files.get(path, b"")
        return content.encode() if isinstance(content, str) else content


def push(registry: str, name: str, layer: Layer, entry_point: str = "") -> str:
    """Push an image and return its address by digest.

    registry: host and port. entry_point: a program; empty for the base image's.
    """
    with httpx.Client(base_url=f"http://{registry}/v2/base/", trust_env=False, timeout=30) as base:
        manifest = base.get(f"manifests/{TAG}", headers={"Accept": MANIFEST}).raise_for_status().json()
        config = base.get(f"blobs/{manifest['config']['digest']}").raise_for_status().json()
    if entry_point:
        config["config"]["Entrypoint"] = [entry_point]
    tar = layer.tar()
    config["rootfs"]["diff_ids"].append(_digest(tar))
    config.pop("history", None)  # it has to list as many entries as there are layers
    with httpx.Client(base_url=f"http://{registry}/v2/{name}/", trust_env=False, timeout=30) as client:
        for lower in manifest["layers"]:
            client.post("blobs/uploads/", params={"mount": lower["digest"], "from": "base"}).raise_for_status()
        manifest["layers"].append(_upload(client, LAYER, tar))
        manifest["config"] = _upload(client, manifest["config"]["mediaType"], json.dumps(config).encode())
        content = json.dumps(manifest).encode()
        client.put("manifests/1", content=content, headers={"Content-Type": MANIFEST}).raise_for_status()
    return f"{registry}/{name}@{_digest(content)}"


def _upload(client: httpx.Client, media: str, content: bytes) -> dict[str, Any]:
    upload = client.post("blobs/uploads/").raise_for_status()
    place = httpx.URL(upload.headers["Location"]).copy_merge_params({"digest": _digest(content)})
    client.put(place, content=content, headers={"Content-Type": "application/octet-stream"}).raise_for_status()
    return {"mediaType": media, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _folders(files: Mapping[str, str | bytes]) -> set[str]:
    """Return the folders of the files, without those at the top of the base image."""
    return {"/".join(parts[:end]) for path in files for parts in [path.split("/")] for end in range(3, len(parts))}
