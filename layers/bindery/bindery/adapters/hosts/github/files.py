"""Files of a commit on GitHub: listing and contents from the API."""

from base64 import b64decode
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, Field

from bindery.adapters.git.object_ids import object_id
from bindery.adapters.git.refs import shown
from bindery.adapters.hosts.rest_api import HostApi
from bindery.adapters.http.budget import MB
from bindery.domain.errors import HostUnreachable, RefNotFound, RepositoryTooLarge
from bindery.domain.repository import Entry, Repository, Tree

LARGEST_FILE: Final = MB


class _TreeEntry(BaseModel):
    path: str
    mode: str = Field(pattern="^[0-7]{5,6}$")
    type: str
    sha: str = Field(pattern="^[0-9a-f]{40}$")


class _TreeAnswer(BaseModel):
    tree: list[_TreeEntry]
    truncated: bool = False


class _BlobAnswer(BaseModel):
    size: int
    content: str
    encoding: str


@dataclass(frozen=True)
class GitHubFiles:
    """Reader of the files of `owner/repository`."""

    api: HostApi

    def tree(self, name: str, root: str, repository: Repository) -> Tree | None:
        """Return the listing of a commit, or None if it is too large. root: id of the commit's tree. Raises RefNotFound."""
        try:
            body = self.api.get(f"/repos/{name}/git/trees/{root}?recursive=1", repository.repo_url).body
        except RepositoryTooLarge:
            return None
        if body is None:
            raise RefNotFound(spec=repository.spec, ref=repository.ref)
        answer = self.api.read(_TreeAnswer, body)
        if answer.truncated:
            return None
        files = (entry for entry in answer.tree if entry.type != "tree")
        return Tree(root, {entry.path: Entry(entry.path, int(entry.mode, 8), entry.sha) for entry in files})

    def read(self, name: str, repository: Repository, entry: Entry) -> bytes:
        """Return the content of a file. Raises RepositoryTooLarge, RefNotFound, HostUnreachable."""
        too_large = RepositoryTooLarge(url=f"{repository.repo_url} ({shown(entry.path)})", limit="1 MB")
        try:
            body = self.api.get(f"/repos/{name}/git/blobs/{entry.id}", repository.repo_url, max_bytes=2 * MB).body
        except RepositoryTooLarge:
            raise too_large from None
        if body is None:
            raise RefNotFound(spec=repository.spec, ref=entry.id)
        answer = self.api.read(_BlobAnswer, body)
        if answer.size > LARGEST_FILE:
            raise too_large
        try:
            content = b64decode(answer.content) if answer.encoding == "base64" else answer.content.encode()
        except ValueError:
            content = b""
        if object_id(b"blob", content).decode() != entry.id:
            raise HostUnreachable(host=self.api.host, why="it sent another file than the requested one")
        return content
