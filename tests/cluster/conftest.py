"""What the cluster's tests share."""

from tests.cluster.trials import trials

__all__ = ["trials"]
