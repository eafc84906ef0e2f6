"""A stand-in for a Git LFS server: the batch API, and the objects themselves."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

MEDIA_TYPE: Final = "application/vnd.git-lfs+json"
BATCH: Final = ".git/info/lfs/objects/batch"
OBJECTS: Final = "/lfs-objects/"


def pointer(content: bytes, size: int | None = None) -> str:
    """Return the pointer file of an object. size: a wrong size to write, if the test wants one."""
    oid = sha256(content).hexdigest()
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content) if size is None else size}\n"
    )


@dataclass(frozen=True)
class Reply:
    status: int
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class LfsStore:
    """The objects and rules of a Git LFS server. objects: by id.

    base: the address of the downloads, without a trailing slash.
    header: the headers that it asks clients to send at downloads. required: the headers that downloads have to have.
    batch: answers every batch request instead. downloads: answers every download instead.
    requests: method, path and headers, in lower case, of each request.
    """

    base: str
    objects: dict[str, bytes] = field(default_factory=dict)
    header: dict[str, str] = field(default_factory=dict)
    required: dict[str, str] = field(default_factory=dict)
    batch: Reply | None = None
    downloads: Reply | None = None
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def add(self, content: bytes) -> str:
        """Store an object; return its pointer file."""
        self.objects[sha256(content).hexdigest()] = content
        return pointer(content)

    def reply(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply | None:
        """Return the answer to a request, None if it is not for this server."""
        is_batch = method == "POST" and path.endswith(BATCH)
        if not is_batch and not path.startswith(OBJECTS):
            return None
        lower = {name.lower(): value for name, value in headers.items()}
        self.requests.append((method, path, lower))
        if is_batch:
            assert (lower["accept"], lower["content-type"]) == (MEDIA_TYPE, MEDIA_TYPE)
            request = json.loads(body)
            assert request["operation"] == "download"
            return self.batch or self._batch(request["objects"])
        if self.downloads:
            return self.downloads
        required = {name.lower(): value for name, value in self.required.items()}
        if any(lower.get(name) != value for name, value in required.items()):
            return Reply(401)
        return Reply(200, self.objects[path.removeprefix(OBJECTS)])

    def _batch(self, requested: list[dict[str, str]]) -> Reply:
        objects: list[dict[str, object]] = []
        for each in requested:
            if each["oid"] in self.objects:
                action = {"href": f"{self.base}{OBJECTS}{each['oid']}", "header": self.header, "expires_in": 60}
                objects.append({**each, "actions": {"download": action}})
            else:
                objects.append({**each, "error": {"code": 404, "message": "Object does not exist"}})
        content = json.dumps({"transfer": "basic", "objects": objects}).encode()
        return Reply(200, content, {"Content-Type": MEDIA_TYPE})
