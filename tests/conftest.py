"""What every suite shares."""

import os

from tests.cluster.fixture import cluster, pytest_collection_finish, shipped  # one cluster for all suites

__all__ = ["cluster", "pytest_collection_finish", "shipped"]

# Nothing that a person has set for their own Bindery may change what a test sees.
for name in [name for name in os.environ if name.startswith("BINDERY_") and not name.startswith("BINDERY_TEST_")]:
    del os.environ[name]
