"""Pyproject files from strangers, judged without a TOML parser.

Python's TOML parser needs time and memory that grow with the square of a dotted key's length: 52 kB take gigabytes. Here each
line is looked at once, and every file that is not clearly a tool's configuration counts as a package.
"""

import re
from typing import Final

LARGEST: Final = 20_000
"""Bytes. A file that only configures tools is smaller."""
PACKAGE_TABLES: Final = frozenset({"project", "build-system"})
HEADER: Final = re.compile(r"""\[{1,2}[ \t]*(?:([A-Za-z0-9_-]+)|"([^"\\]*)"|'([^']*)')[ \t]*[.\]]""")


def may_be_package(content: bytes) -> bool:
    """Return False only if no TOML parser could find a top-level `project` or `build-system` in the file.

    A table's header stands at the beginning of a line, and keys of the top level stand before the first header. So the first line
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
