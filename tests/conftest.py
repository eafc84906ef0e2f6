"""What every suite shares."""

import os

from tests.cluster.fixture import cluster, pytest_collection_finish, shipped  # one cluster for all suites
from tests.serving.packages import printed, python

__all__ = ["cluster", "printed", "pytest_collection_finish", "python", "shipped"]

# Nothing that a person has set for their own Bindery may change what a test sees.
for name in [name for name in os.environ if name.startswith("BINDERY_") and name != "BINDERY_TEST_KUBECONFIG"]:
    del os.environ[name]
