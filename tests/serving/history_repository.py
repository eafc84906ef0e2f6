"""A repository with history, tags and a branch on a git server, and a working copy of it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.serving.git_http import ENVIRONMENT, GitServer, git, make_repository

NAME = "r.git"
AUTHOR = {
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


@dataclass
class HistoryRepository:
    """A server with one repository of four commits on main.

    The annotated tag `v1.0` is on the first commit, the lightweight tag `light` on the second.
    root: the folder for everything. work: the working copy. commits: the ids, oldest first.
    """

    server: GitServer
    root: Path
    work: Path
    commits: list[str]

    @property
    def folder(self) -> Path:
        return self.server.root / NAME

    def tag(self, name: str, commit: str, *, annotated: bool = True) -> None:
        tag(self.folder, name, commit, annotated=annotated)

    def git(self, *arguments: str) -> str:
        """Run git in the working copy, as a visitor does, and return its output."""
        command = ["git", "-C", str(self.work), *arguments]
        ran = subprocess.run(command, env=ENVIRONMENT | AUTHOR, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()


@contextmanager
def history_server(root: Path) -> Iterator[tuple[GitServer, list[str]]]:
    """Serve the repository from a folder in `root`. Yield the server and the commits."""
    folder = root / "served" / NAME
    folder.parent.mkdir()
    commits = [make_repository(folder, {"a.txt": f"{n}\n", f"d{n}/b.txt": "b"}, message=f"c{n}") for n in range(4)]
    tag(folder, "v1.0", commits[0])
    tag(folder, "light", commits[1], annotated=False)
    with GitServer(folder.parent) as server:
        yield server, commits


def tag(folder: Path, name: str, commit: str, *, annotated: bool = True) -> None:
    """Add a tag to a bare repository."""
    options = ["-a", "-m", name] if annotated else []
    git("-C", folder, "-c", "user.name=A", "-c", "user.email=a@example.org", "tag", *options, name, commit)
