"""Check of the script `install.R`: it is a list of packages to install, or code that may read any file of the repository."""

import re

ARCHIVES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar", ".zip")
LARGEST = 20_000
"""Limit in characters. A longer script counts as one that reads files."""
CALL = re.compile(r"(?<![\w.])((?:[A-Za-z][\w.]*:::?)?[A-Za-z.][\w.]*)\s*\(")
"""A match starts at the start of a word, so the time of a search is linear in the text's length, not quadratic."""
COMMENT_LINE = re.compile(r"""^[^\S\n]*#[^\n"'`]*$""", re.MULTILINE)
"""A comment line without quotes. It cannot end a string, so removing it never removes code."""
STRING = re.compile(r"""["']([^"'\n]*)["']""")
NO_SERVER = re.compile(r"\bNULL\b|\b(repos|contriburl)\s*=\s*[\"'](?!https?://)")
"""A package is installed from a file if there is no package repository (`repos = NULL`), or if that repository is a folder."""
CALLS = frozenset(
    {
        *("install.packages", "install_github", "install_gitlab", "install_cran", "install_bioc", "install_version"),
        *("BiocManager::install", "biocLite", "installspec"),
        *("library", "require", "requireNamespace", "options", "c", "if", "for", "rownames", "installed.packages"),
        *("setdiff", "unique", "is.element", "length", "suppressMessages", "suppressWarnings", "invisible", "print"),
    }
)
"""Calls that read no file of the repository unless an argument names one."""


def only_installs(text: str) -> bool:
    """Return True if the script calls only functions that install packages from servers.

    The check is coarse: a script that it does not understand counts as one that reads files. This causes extra builds, never a wrong
    image.
    """
    if len(text) > LARGEST or "\\" in text:
        return False
    code = COMMENT_LINE.sub("", text)
    if any(match[1] not in CALLS and match[1].rpartition(":")[2] not in CALLS for match in CALL.finditer(code)):
        return False
    return not NO_SERVER.search(code) and not any(_is_path(match[1]) for match in STRING.finditer(code))


def _is_path(string: str) -> bool:
    """Return True for a string that may name a file of the repository: `./x`, `/home/x`, `file:///x`, `x.tar.gz`."""
    return string.startswith((".", "/", "~")) or "file:" in string.lower() or string.lower().endswith(ARCHIVES)
