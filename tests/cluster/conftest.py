"""Shared fixtures of the cluster's tests."""

from collections.abc import Iterator

import pytest

from bindery.adapters.kubernetes.launcher import KubernetesSessions
from tests.cluster.trials import Trials, trials

__all__ = ["trials"]


@pytest.fixture(scope="module")
def launcher(trials: Trials) -> Iterator[KubernetesSessions]:
    """Provide a launcher of sessions that have little memory. Its sessions are removed with it."""
    with trials.launcher(memory_limit="400M") as launcher:
        yield launcher
    trials.shipped.remove_sessions()
