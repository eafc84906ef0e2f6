"""The fixture that provides tests with their cluster."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.missing import what_is_missing
from tests.cluster.place import at
from tests.cluster.shipped import Shipped, apply
from tests.cluster.start import running

READY = "BINDERY_TEST_KUBECONFIG"


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Provide one cluster for the whole run.

    It is the cluster of BINDERY_TEST_KUBECONFIG (`make cluster` prints it), or else one that ends with the run.
    """
    if READY in os.environ:
        yield Cluster(at(Path(os.environ[READY]).parent))
        return
    if missing := what_is_missing():
        pytest.skip(missing)
    with running() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def shipped(cluster: Cluster) -> Shipped:
    """Provide the cluster together with the objects of infra/kubernetes."""
    return apply(cluster)
