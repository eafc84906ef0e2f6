"""The files of a tree that define its environment: the files that repo2docker reads, and the files that these name.

Only this module lists the names. Builds read no configuration file under another name (`bindery_builder/process/scripts.py`), and a test
compares the list with the source of the installed repo2docker. A file that no build reads cannot change an environment.
If a file is unclear, or too large to check, the whole tree counts: an unnecessary build is better than a wrong image.
"""

import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bindery.domain.environment import Scope
from bindery.domain.errors import RepositoryTooLarge, RepositoryUnusable
from bindery.domain.install_r import only_installs
from bindery.domain.pyproject import may_be_package
from bindery.domain.repository import Entry, Tree
from bindery.domain.safe_yaml import NotPlain, plain_yaml

FOLDERS = ("binder/", ".binder/")
CONDA = ("environment.yml", "environment.yaml")
"""Names of the file of conda packages. Builds read the first one that exists."""
IGNORED = (".dockerignore", ".containerignore")
"""Lists of files that are not copied into an image."""
JULIA = tuple(
    f"{julia}{name}.toml"
    for name in ("Project", "Manifest", "Artifacts", "LocalPreferences")
    for julia in ("Julia", "")
)
"""Files that Julia's package manager reads in a project's folder, besides VERSIONED_MANIFEST."""
VERSIONED_MANIFEST = re.compile(r"(Julia)?Manifest-v\d{1,3}\.\d{1,3}\.toml")
"""Manifests of one version of Julia each (pkgdocs.julialang.org, "Different Manifests for Different Julia versions")."""
FILES = (
    *CONDA,
    "requirements.txt",
    "requirements3.txt",
    "Pipfile",
    "Pipfile.lock",
    "runtime.txt",
    "apt.txt",
    "install.R",
    *JULIA,
    "REQUIRE",
    "start",
    *IGNORED,
)
READ_THE_TREE = ("Dockerfile", "postBuild", "default.nix")
PACKAGES = ("setup.py", "pyproject.toml", "DESCRIPTION")
MAY_NAME_PATHS = ("Pipfile", "Pipfile.lock", *JULIA)
NAMES = frozenset((*FILES, *READ_THE_TREE, *PACKAGES))
"""All fixed names of configuration files that a build may read."""
LINK, SUBMODULE = 0o120000, 0o160000
LINES_READ, FILES_FOLLOWED, CHARACTERS_FOLLOWED = 5000, 100, 4_000_000
ARCHIVES = (
    ".whl",
    ".zip",
    ".egg",
    ".tar",
    ".tar.gz",
    ".tgz",
    ".tar.bz2",
    ".tbz",
    ".tar.xz",
    ".txz",
    ".tlz",
    ".tar.lz",
    ".tar.lzma",
    ".tar.zst",
)
PATH_NAMED = re.compile(r"""\b(path|file)["']?\s*[=:]""")
ESCAPED = re.compile(r"\\[uUx]")
"""An escape in TOML or JSON, which may spell a letter of `path`."""
JULIA_PACKAGE = re.compile(r"^[ \t]*(uuid[ \t]*=|\[workspace\])", re.MULTILINE)
"""A Julia project that is a package (its source is compiled at the installation), or that has projects below it."""
FILE_ADDRESS = re.compile(r"\bfile:")

Read = Callable[[Entry], bytes]
Lines = Callable[[str], Iterator[str]]


class _Unclear(Exception):
    """A file's dependencies are unclear, or may be any file of the tree."""


def folder_of(tree: Tree) -> str:
    """Return the folder of the configuration files: `binder/`, `.binder/`, or the root (empty).

    Raises RepositoryUnusable if both folders exist.
    """
    folders = [folder for folder in FOLDERS if any(path.startswith(folder) for path in tree.entries)]
    if len(folders) > 1:
        raise RepositoryUnusable(why="it has both a binder/ and a .binder/ folder; keep one")
    return folders[0] if folders else ""


@dataclass
class Configuration:
    """Configuration of a tree: scope, and path to blob id of each file that the build may depend on."""

    scope: Scope = Scope.FILES
    files: dict[str, str] = field(default_factory=dict)


def configuration(tree: Tree, read: Read) -> Configuration:
    """Return the configuration files of a tree. `read` returns a file's content; it is called for files that may name other files."""
    folder = folder_of(tree)
    result = Configuration()
    for name in (*FILES, *READ_THE_TREE, *_versioned_manifests(folder, tree)):
        if entry := tree.entries.get(folder + name):
            result.files[entry.path] = entry.id
            if name in READ_THE_TREE or entry.mode in (LINK, SUBMODULE):
                result.scope = Scope.TREE
    if any(_leads_elsewhere(tree.entries.get(name.rstrip("/"))) for name in FOLDERS):
        result.scope = Scope.TREE
    if not folder and any(_is_package(tree.entries[name], read) for name in PACKAGES if name in tree.entries):
        result.scope = Scope.TREE
    if result.scope is Scope.FILES:
        try:
            _follow(folder, tree, read, result)
        except (_Unclear, UnicodeDecodeError, NotPlain, RepositoryTooLarge):
            result.scope = Scope.TREE
    return result


def _versioned_manifests(folder: str, tree: Tree) -> Iterator[str]:
    for path in tree.entries:
        if path.endswith(".toml") and path.startswith(folder) and VERSIONED_MANIFEST.fullmatch(path, len(folder)):
            yield path[len(folder) :]


def _leads_elsewhere(entry: Entry | None) -> bool:
    return entry is not None and entry.mode in (LINK, SUBMODULE)


def _is_package(entry: Entry, read: Read) -> bool:
    """Return whether the root is installed as a package. A pyproject.toml that only configures tools is no package."""
    if entry.path != "pyproject.toml" or entry.mode == LINK:
        return True
    try:
        return may_be_package(read(entry))
    except RepositoryTooLarge:
        return True


def _follow(folder: str, tree: Tree, read: Read, result: Configuration) -> None:
    """Add the files that configuration files name, recursively. Raises _Unclear if a file may depend on any other file of the tree."""
    for name in (*MAY_NAME_PATHS, *_versioned_manifests(folder, tree)):
        entry = tree.entries.get(folder + name)
        if entry and (
            PATH_NAMED.search(text := _text(entry, read)) or ESCAPED.search(text) or _compiles_source(name, text)
        ):
            raise _Unclear
    if (entry := tree.entries.get(folder + "install.R")) and not only_installs(_text(entry, read)):
        raise _Unclear
    conda = next((name for name in CONDA if folder + name in tree.entries), CONDA[0])
    requirements: tuple[tuple[str, Lines], ...] = (
        ("requirements.txt", _lines),
        ("requirements3.txt", _lines),
        (conda, _pip_lines),
    )
    waiting = [(tree.entries[folder + name], lines) for name, lines in requirements if folder + name in tree.entries]
    characters = 0
    while waiting:
        entry, lines = waiting.pop()
        text = _text(entry, read)
        characters += len(text)
        if characters > CHARACTERS_FOLLOWED:
            raise _Unclear
        for target in _pointed_to(entry, lines(text), tree):
            if target.path not in result.files:
                result.files[target.path] = target.id
                waiting.append((target, _lines))
        if len(result.files) > FILES_FOLLOWED:
            raise _Unclear


def _compiles_source(name: str, text: str) -> bool:
    return name.endswith("Project.toml") and bool(JULIA_PACKAGE.search(text))


def _text(entry: Entry, read: Read) -> str:
    return read(entry).decode("utf-8-sig")


def _pointed_to(entry: Entry, lines: Iterator[str], tree: Tree) -> Iterator[Entry]:
    """Yield the other files of requirements that the lines name.

    Raises _Unclear for a line that names a missing file, or another file or folder of the tree.
    """
    folder = posixpath.dirname(entry.path)
    for number, line in enumerate(lines):
        if number >= LINES_READ:
            raise _Unclear
        if pointed := _file_named(line):
            target = tree.entries.get(posixpath.normpath(posixpath.join(folder, pointed)))
            if target is None or _leads_elsewhere(target):  # behind a link, in a submodule, above the tree
                raise _Unclear
            yield target
        elif _is_local(line):
            raise _Unclear


def _lines(text: str) -> Iterator[str]:
    """Yield the requirements as pip reads them: a comment line ends a continued line, and is never continued itself."""
    text = re.sub(r"(?m)^[^\S\n]*#.*$", "", text).replace("\\\n", "")
    for line in text.splitlines():
        if requirement := re.sub(r"(^|\s)#.*", "", line).strip():
            yield requirement


def _pip_lines(text: str) -> Iterator[str]:
    """Yield the requirements in the pip part of a file of conda packages. Raises _Unclear for paths in the tree, NotPlain."""
    if FILE_ADDRESS.search(text):
        raise _Unclear
    loaded = plain_yaml(text)
    dependencies = loaded.get("dependencies") if isinstance(loaded, dict) else None
    for dependency in dependencies if isinstance(dependencies, list) else []:
        if isinstance(dependency, dict):
            pip = dependency.get("pip")
            yield from (line.strip() for line in (pip if isinstance(pip, list) else []) if isinstance(line, str))
        elif isinstance(dependency, str) and dependency.startswith((".", "/")):
            raise _Unclear


def _file_named(line: str) -> str | None:
    match = re.match(r"(?:-r|-c|--requirements?|--constraints?)[\s=]*(?P<path>[^\s=].*)", line)
    path = match["path"].strip() if match else None
    return path if path and "://" not in path else None


def _is_local(line: str) -> bool:
    """Return whether a requirement names (or may name) a place in the tree: a path, an editable, a folder of wheels."""
    if FILE_ADDRESS.search(line):
        return True
    if "://" in line:
        return False
    if "@" in line:  # a direct reference, and not to an address
        return True
    requirement = re.sub(r"^(-e|--editable|-f|--find-links|--index-url|-i)[\s=]*", "", line)
    first = re.split(r"[\[;\s]", requirement, maxsplit=1)[0]
    return requirement != line or "/" in first or first.startswith(".") or first.lower().endswith(ARCHIVES)
