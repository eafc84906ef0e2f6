"""GitLab's API on loopback: recorded answers if they exist, else answers made from local git repositories.

Answers without a recording follow GitLab's documentation: a commit by its id, branch or tag (docs.gitlab.com/api/commits/), the
refs with a commit in their history (docs.gitlab.com/api/commits/#get-references-a-commit-is-pushed-to), names of projects in
addresses (docs.gitlab.com/api/rest/#namespaced-paths), the visibility of a project
(docs.gitlab.com/api/projects/#get-a-single-project), limits
(docs.gitlab.com/security/rate_limits/ and docs.gitlab.com/administration/settings/user_and_ip_rate_limits/, section
"Response headers").
"""

import re
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from tests.serving.git_http import git
from tests.serving.host_api import ApiServer, Reply, recorded, recordings

HOST = "gitlab.com"
FOR_THE_SIGNED_IN = {"visibility", "repository_access_level"}


class GitLabServer(ApiServer):
    """A server that maps `namespace/project` to a bare repository, while its `with` block lasts.

    clones: the address of its git; every request outside the API is redirected there.
    visible: a project's visibility, such as `internal`.
    levels: the access level of a project's code, if not every viewer of the project may see it.
    """

    limited = 429

    def __init__(self, projects: Mapping[str, Path] | None = None, clones: str = "") -> None:
        super().__init__()
        self.projects = dict(projects or {})
        self.clones = clones
        self.visible: dict[str, str] = {}
        self.levels: dict[str, str] = {}
        self.recorded = recordings(HOST)

    def limits(self, until: int) -> dict[str, str]:
        seconds = max(1, until - int(time.time()))
        return {"RateLimit-Remaining": "0", "RateLimit-Reset": str(until), "Retry-After": str(seconds)}

    def to_strangers(self, path: str) -> Reply:
        reply = self.found(path)
        if not isinstance(reply.body, dict):
            return reply
        if reply.body.get("visibility", "public") != "public":
            return Reply(404, {"message": "404 Project Not Found"})
        public = {name: value for name, value in reply.body.items() if name not in FOR_THE_SIGNED_IN}
        return Reply(reply.status, public, reply.headers)

    def found(self, path: str) -> Reply:
        plain = path.partition("?")[0]
        if self.clones and not plain.startswith("/api/"):
            return Reply(301, None, {"Location": self.clones + path.replace(".git/", "/", 1)})
        if recording := self.recorded.get(f"https://{HOST}{plain}"):
            return recorded(recording)
        about = re.fullmatch(r"/api/v4/projects/([^/]+)", plain)
        if about and (name := unquote(about[1])) in self.projects:
            visibility = self.visible.get(name) or ("private" if name in self.private else "public")
            return Reply(
                200,
                {
                    "path_with_namespace": name,
                    "visibility": visibility,
                    "repository_access_level": self.levels.get(name, "enabled"),
                },
            )
        match = re.fullmatch(r"/api/v4/projects/([^/]+)/repository/commits/([^/]+)(/refs)?", plain)
        folder = self.projects.get(unquote(match[1])) if match else None
        if match is None or folder is None:
            return Reply(404, {"message": "404 Project Not Found"})
        return _refs(folder, unquote(match[2])) if match[3] else _commit(folder, unquote(match[2]))


def _commit(folder: Path, ref: str) -> Reply:
    try:
        commit = git("-C", folder, "rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}").decode().strip()
    except RuntimeError:
        return Reply(404, {"message": "404 Commit Not Found"})
    return Reply(200, {"id": commit, "short_id": commit[:8], "parent_ids": [], "title": "change"})


def _refs(folder: Path, commit: str) -> Reply:
    """Return the branches and tags that have the commit in their history."""
    try:
        listed = git(
            "-C", folder, "for-each-ref", "--contains", commit, "--format=%(refname)", "refs/heads", "refs/tags"
        )
    except RuntimeError:
        return Reply(404, {"message": "404 Commit Not Found"})
    kinds = {"heads": "branch", "tags": "tag"}
    parts = (line.split("/", 2) for line in listed.decode().splitlines())
    return Reply(200, [{"type": kinds[kind], "name": name} for _, kind, name in parts])
