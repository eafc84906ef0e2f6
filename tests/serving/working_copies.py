"""A git server and the working copies of its repositories, for tests of the contents port."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from bindery.adapters.clock import SystemClock
from bindery.adapters.http.client import GuardedClient
from bindery.domain.repository import Repository
from bindery_builder.contents.git import GitContents
from tests.serving.git_http import File, GitServer, git, make_repository
from tests.serving.scripted import ScriptedServer

Files = Mapping[str, str | bytes | File]


@dataclass
class Place:
    """A server, the adapter that lays out its repositories, and the folder for both."""

    server: GitServer
    contents: GitContents
    root: Path

    def make(self, files: Files, name: str = "r.git") -> Repository:
        return self.repository(make_repository(self.server.root / name, files), name)

    def repository(self, ref: str, name: str = "r.git") -> Repository:
        url = self.server.url(name)
        return Repository(
            provider="git", spec="s", ref=ref, resolved_spec="s", clone_url=url, repo_url=url, ref_url=url
        )

    def other(self, **limits: int) -> GitContents:
        client = GuardedClient([self.server.address])
        return GitContents(self.root / "other cache", client, SystemClock(), **limits)  # type: ignore[arg-type] # words for limits alone

    def left(self) -> list[str]:
        return names(self.root / "work")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    for name in ("served", "work"):
        (tmp_path / name).mkdir()
    with GitServer(tmp_path / "served") as server:
        client = GuardedClient([server.address])
        yield Place(server, GitContents(tmp_path / "cache", client, SystemClock()), tmp_path)
        client.close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def in_git(folder: Path, *arguments: str) -> str:
    return git("-C", folder, *arguments).decode(errors="surrogateescape").strip()


def hand_made(place: Place, *entries: tuple[bytes, int, bytes]) -> Repository:
    """Return a repository with these raw entries (name, mode, blob content) in its root tree, even if git would refuse them."""
    folder = place.server.root / "r.git"
    if not folder.exists():
        make_repository(folder, {"a": "b"})
    raw = b""
    for name, mode, content in entries:
        kind = "tree" if mode == 0o040000 else "blob"
        raw += f"{mode:o} ".encode() + name + b"\0" + bytes.fromhex(stored(folder, kind, content))
    tree = stored(folder, "tree", raw)
    commit = git("-C", folder, "-c", "user.name=A", "-c", "user.email=a@example.org", "commit-tree", "-m", "x", tree)
    git("-C", folder, "update-ref", "refs/heads/main", commit.decode().strip())
    return place.repository(commit.decode().strip())


def stored(folder: Path, kind: str, content: bytes) -> str:
    return git("-C", folder, "hash-object", "--literally", "-t", kind, "-w", "--stdin", stdin=content).decode().strip()


def inner_tree(place: Place, name: bytes, content: bytes) -> bytes:
    """Return a raw tree with one file, to be an entry's content."""
    folder = place.server.root / "r.git"
    if not folder.exists():
        make_repository(folder, {"a": "b"})
    return b"100644 " + name + b"\0" + bytes.fromhex(stored(folder, "blob", content))


class Dripping:
    """A git server with packs that never end: after their beginning it sends no more data."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.server = ScriptedServer(self._reply)

    def _reply(self, head: bytes) -> Iterator[bytes]:
        kind = "Content-Type: application/x-git-upload-pack"
        if head.startswith(b"GET"):
            lines = b"000eversion 2\n0012fetch=shallow\n0000"
            yield f"HTTP/1.1 200 OK\r\n{kind}-advertisement\r\nContent-Length: {len(lines)}\r\n\r\n".encode() + lines
            return
        yield f"HTTP/1.1 200 OK\r\n{kind}-result\r\nContent-Length: 99999\r\n\r\n".encode() + b"000dpackfile\n"
        self.begun.release()
        self.server.closing.wait(60)


@pytest.fixture
def dripping() -> Iterator[Dripping]:
    server = Dripping()
    with server.server:
        yield server
