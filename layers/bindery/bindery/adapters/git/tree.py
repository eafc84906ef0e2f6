"""Listing of a commit's files, read from its trees."""

from collections.abc import Mapping
from typing import Final

from bindery.adapters.git.packs import BLOB, COMMIT, TREE, BrokenPack, tree_entries, tree_of
from bindery.domain.repository import Entry, Tree

MOST_ENTRIES: Final = 100_000
MOST_TREES: Final = 50_000
DEEPEST: Final = 200
LONGEST_PATH: Final = 4096
FOLDER: Final = 0o040000


class NotListed(Exception):  # "no listing" is a valid result of the port, not an error
    """Error for a listing that is too costly to read: contents came along, trees are missing, or it is too long."""


def listing(objects: Mapping[bytes, tuple[int, bytes]], commit: str) -> Tree:
    """Return the listing of `commit` from the objects by id (type, content). Raises NotListed, BrokenPack."""
    if any(kind == BLOB for kind, _ in objects.values()):
        raise NotListed("the server ignores filters")
    kind, content = objects.get(commit.encode(), (0, b""))
    if kind != COMMIT:
        raise BrokenPack("the commit is missing")
    root = tree_of(content)
    entries: dict[str, Entry] = {}
    waiting, trees = [("", root, 0)], 0
    while waiting:
        folder, tree, depth = waiting.pop()
        trees += 1
        if trees > MOST_TREES or depth > DEEPEST:
            raise NotListed("too many folders")
        kind, content = objects.get(tree, (0, b""))
        if kind != TREE:
            raise NotListed("a tree is missing")
        for raw, mode, object_id in tree_entries(content):
            path = folder + raw.decode(errors="surrogateescape")
            if len(path) > LONGEST_PATH:
                raise NotListed("a path is too long")
            if mode & 0o170000 == FOLDER:
                waiting.append((f"{path}/", object_id, depth + 1))
            else:
                entries[path] = Entry(path, mode, object_id.decode())
        if len(entries) > MOST_ENTRIES:
            raise NotListed("too many files")
    return Tree(root.decode(), dict(sorted(entries.items())))
