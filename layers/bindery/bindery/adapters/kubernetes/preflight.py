"""Check of the prerequisites for sessions on a cluster."""

from bindery.adapters.kubernetes.api import GATEWAY, NAMESPACE, Cluster
from bindery.adapters.kubernetes.manifests import Making
from bindery.domain.errors import ClusterRefused, LauncherDown, SessionRefused

APPLY = "Apply infra/kubernetes (kubectl apply -k infra/kubernetes)"


def missing(cluster: Cluster, making: Making) -> str:
    """Return the missing prerequisite and its remedy; empty if all exist. A Gateway that has no address yet counts as existing."""
    try:
        if cluster.get(NAMESPACE, cluster.namespace) is None:
            return f"There is no namespace {cluster.namespace} at {cluster.address}. {APPLY}, or set BINDERY_NAMESPACE."
        if cluster.get(GATEWAY, making.gateway) is None:
            return (
                f"There is no Gateway {making.gateway} in namespace {cluster.namespace} at {cluster.address}. "
                f"{APPLY}, or set BINDERY_GATEWAY."
            )
    except (ClusterRefused, SessionRefused) as refused:
        return (
            f"The cluster at {cluster.address} does not show namespace {cluster.namespace} and its Gateway {making.gateway}: "
            f"{refused.facts['why']}. {APPLY}, or set BINDERY_NAMESPACE and BINDERY_GATEWAY, or another BINDERY_KUBECONFIG."
        )
    except LauncherDown as down:
        return f"The cluster at {cluster.address} cannot be used: {down.facts['why']}."
    return ""
