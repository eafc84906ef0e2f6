"""Check of untrusted pyproject files without a TOML parser.

The time and memory of Python's TOML parser are quadratic in the length of a dotted key: 52 kB take gigabytes. This check reads each
line once. Every file that is not clearly a tool's configuration counts as a package.
"""

import re
from typing import Final

LARGEST: Final = 20_000
"""Limit in bytes. A file that only configures tools is smaller."""
PACKAGE_TABLES: Final = frozenset({"project", "build-system"})
HEADER: Final = re.compile(r"""\[{1,2}[ \t]*(?:([A-Za-z0-9_-]+)|"([^"\\]*)"|'([^']*)')[ \t]*[.\]]""")


def may_be_package(content: bytes) -> bool:
    """Return False only if no TOML parser could find a top-level `project` or `build-system` in the file.

    A table's header is at the beginning of a line, and keys of the top level are before the first header. Therefore the first line
    that is neither blank nor a comment must be a header, and no line may be, or look like, the header of a package's table.
    """
    if len(content) > LARGEST:
        return True
    try:
        lines = content.decode().split("\n")
    except UnicodeDecodeError:
        return True
    inside_table = False
    for line in (each.strip(" \t\r") for each in lines):
        if line.startswith("["):
            header = HEADER.match(line)
            if header is None or not PACKAGE_TABLES.isdisjoint(header.groups()):
                return True
            inside_table = True
        elif line and not line.startswith("#") and not inside_table:
            return True
    return False
