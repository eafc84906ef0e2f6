"""Fixtures that several infra test files share."""

from collections.abc import Iterator

import pytest

from tests.infra.deployed.recorded import Recorder
from tests.infra.deployed.system import Deployed, deployed
from tests.serving.manifests import Manifests


@pytest.fixture
def deployment() -> Iterator[Deployed]:
    """Provide a deployed system."""
    with deployed(Recorder()) as system:
        yield system


@pytest.fixture(scope="session")
def shipped() -> Manifests:
    """Provide the shipped manifests of Kubernetes, without a cluster."""
    return Manifests()
