"""Shared fixtures of the cluster's tests."""

from tests.cluster.trials import trials

__all__ = ["trials"]
