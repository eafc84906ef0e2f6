"""An image of the cluster's registry under another name, as if somebody had built it."""

import httpx

from tests.cluster.cluster import Cluster

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
KINDS = f"{MANIFEST}, application/vnd.oci.image.manifest.v1+json"


def base_image_as(cluster: Cluster, name: str) -> str:
    """The base image below `name`, without copying it; answers how it is pulled, by digest."""
    source, _, tag = cluster.base_image.removeprefix(f"{cluster.registry}/").rpartition(":")
    with httpx.Client(trust_env=False, base_url=f"http://{cluster.registry}/v2/") as client:
        found = client.get(f"{source}/manifests/{tag}", headers={"Accept": KINDS}).raise_for_status()
        manifest = found.json()
        for blob in (manifest["config"], *manifest["layers"]):
            mount = {"mount": blob["digest"], "from": source}
            assert client.post(f"{name}/blobs/uploads/", params=mount).status_code == 201
        kind = {"Content-Type": found.headers["Content-Type"]}
        put = client.put(f"{name}/manifests/{tag}", content=found.content, headers=kind).raise_for_status()
    return f"{cluster.registry}/{name}@{put.headers['Docker-Content-Digest']}"
