"""Which files of a tree define its environment: the ones repo2docker reads, and what they point to.

Read from repo2docker's documentation of configuration files; what it does not look at cannot change an environment.
"""

import posixpath
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import yaml

from bindery.domain.environment import Scope
from bindery.domain.errors import RepositoryUnusable
from bindery.domain.repository import Entry, Tree

FOLDERS = ("binder/", ".binder/")
FILES = (
    "environment.yml",
    "requirements.txt",
    "requirements3.txt",
    "Pipfile",
    "Pipfile.lock",
    "runtime.txt",
    "apt.txt",
    "install.R",
    "Project.toml",
    "JuliaProject.toml",
    "Manifest.toml",
    "REQUIRE",
    "start",
)
READ_THE_TREE = ("Dockerfile", "postBuild", "default.nix")
PACKAGES = ("setup.py", "pyproject.toml", "DESCRIPTION")
LINK, LINES_FOLLOWED = 0o120000, 5000

Read = Callable[[Entry], bytes]


def folder_of(tree: Tree) -> str:
    """Where configuration files count: `binder/`, `.binder/`, or the root (empty). Raises RepositoryUnusable for both."""
    there = [folder for folder in FOLDERS if any(path.startswith(folder) for path in tree.entries)]
    if len(there) > 1:
        raise RepositoryUnusable(why="it has both a binder/ and a .binder/ folder; keep one")
    return there[0] if there else ""


@dataclass
class Configuration:
    """What was found: scope, and path to blob id of each file that the build may depend on."""

    scope: Scope = Scope.FILES
    files: dict[str, str] = field(default_factory=dict)


def configuration(tree: Tree, read: Read) -> Configuration:
    """The configuration files of a tree. `read` answers a file's content; it is called for those that may point further."""
    folder = folder_of(tree)
    found = Configuration()
    for name in (*FILES, *READ_THE_TREE):
        if entry := tree.entries.get(folder + name):
            found.files[entry.path] = entry.id
            if name in READ_THE_TREE or entry.mode == LINK:
                found.scope = Scope.TREE
    if not folder and any(_is_package(tree.entries[name], read) for name in PACKAGES if name in tree.entries):
        found.scope = Scope.TREE
    if found.scope is Scope.FILES:
        for name in ("requirements.txt", "requirements3.txt", "environment.yml", "Pipfile"):
            if entry := tree.entries.get(folder + name):
                _follow(entry, tree, read, found)
    return found


def _is_package(entry: Entry, read: Read) -> bool:
    """Whether the root is installed as a package: a pyproject.toml that only configures tools is not one."""
    if entry.path != "pyproject.toml":
        return True
    try:
        project = tomllib.loads(read(entry).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return True
    return "project" in project or "build-system" in project


def _follow(entry: Entry, tree: Tree, read: Read, found: Configuration) -> None:
    """Adds what a file points to; anything that could reach the tree makes the whole tree count."""
    try:
        text = read(entry).decode()
        lines = list(_pip_lines(text) if entry.path.endswith((".yml", ".yaml")) else _lines(text))
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError):
        found.scope = Scope.TREE
        return
    if entry.path.endswith("Pipfile") and re.search(r"\b(path|file)\s*=", text):
        found.scope = Scope.TREE
    folder = posixpath.dirname(entry.path)
    for line in lines[:LINES_FOLLOWED]:
        if pointed := _file_pointed_to(line):
            path = posixpath.normpath(posixpath.join(folder, pointed))
            target = tree.entries.get(path)
            if target and target.mode != LINK and path not in found.files:
                found.files[path] = target.id
                _follow(target, tree, read, found)
            elif target and target.mode == LINK:
                found.scope = Scope.TREE
        elif _is_local(line, folder, tree):
            found.scope = Scope.TREE


def _lines(text: str) -> Iterator[str]:
    for line in text.replace("\\\n", " ").splitlines():
        if told := re.sub(r"(^|\s)#.*", "", line).strip():
            yield told


def _pip_lines(text: str) -> Iterator[str]:
    loaded = yaml.safe_load(text)
    for dependency in (loaded.get("dependencies") or []) if isinstance(loaded, dict) else []:
        if isinstance(dependency, dict):
            yield from (str(line).strip() for line in dependency.get("pip") or [])


def _file_pointed_to(line: str) -> str | None:
    match = re.match(r"(?:-r|-c|--requirements?|--constraints?)[\s=]*(?P<path>[^\s=].*)", line)
    path = match["path"].strip() if match else None
    return path if path and "://" not in path else None


def _is_local(line: str, folder: str, tree: Tree) -> bool:
    """Whether a requirement names something in the tree (or might): a path, an editable, a folder of wheels."""
    named = re.sub(r"^(-e|--editable|-f|--find-links|--index-url|-i)[\s=]*", "", line)
    named = named.rpartition(" @ ")[2] if " @ " in named else named
    if "://" in named and not named.startswith("file:"):
        return False
    first = re.split(r"[\[;\s]", named, maxsplit=1)[0]
    path = posixpath.normpath(posixpath.join(folder, first))
    inside = path in tree.entries or any(known.startswith(path + "/") for known in tree.entries)
    return named.startswith((".", "/", "file:")) or named != line or inside
