"""SQLite in DynamoDB's place, for a deployed package that a test starts: in a file that the test reads, too."""

from tests.serving.paths import ROOT

BINDERY_LOCAL = ROOT / "infra" / "local" / "bindery_local"
"""The package that has the SQLite table. It has to be on the path of the started process."""
ON_SQLITE = """
import os
from functools import cached_property
from pathlib import Path
from bindery.bootstrap import Adapters
from bindery_local.sqlite_table import SqliteTable
Adapters.table = cached_property(lambda self: SqliteTable(Path(os.environ["BINDERY_HOME"]) / "table.sqlite"))
Adapters.table.__set_name__(Adapters, "table")
"""
"""The `sitecustomize` of the started process. BINDERY_HOME: the folder of the file `table.sqlite`."""
