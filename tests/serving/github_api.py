"""A GitHub API on loopback: recorded answers if they exist, else answers made from local git repositories.

Answers without a recording follow GitHub's documentation: trees (docs.github.com/en/rest/git/trees), blobs
(docs.github.com/en/rest/git/blobs), gists and their revisions (docs.github.com/en/rest/gists/gists), commits
(docs.github.com/en/rest/commits/commits#get-a-commit, .../commits#list-branches-for-head-commit, .../commits#compare-two-commits),
refs and tags (docs.github.com/en/rest/git/refs#get-a-reference, .../git/tags#get-a-tag), whether a repository is private
(docs.github.com/en/rest/repos/repos#get-a-repository), conditional requests and rate limits
(docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api and
.../rate-limits-for-the-rest-api), redirects of renamed repositories (same best practices page).
"""

import re
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from tests.serving.git_http import git
from tests.serving.github_refs import a_ref, a_tag, branches_where_head, compared
from tests.serving.host_api import ApiServer, Reply, recorded, recordings

HOST = "api.github.com"
LISTING_LIMIT = 100_000


class GitHubServer(ApiServer):
    """A server that maps `owner/repository` to a bare repository, while its `with` block lasts.

    renamed: old name -> new name. truncated: listings say so. gists: id -> bare repository. secret: ids of gists.
    owner: of the gists; with None, the gists have no owner.
    """

    def __init__(self, repositories: Mapping[str, Path] | None = None) -> None:
        super().__init__()
        self.repositories = dict(repositories or {})
        self.recorded = recordings(HOST)
        self.renamed: dict[str, str] = {}
        self.truncated = False
        self.gists: dict[str, Path] = {}
        self.secret: set[str] = set()
        self.owner: str | None = "o"

    def found(self, path: str) -> Reply:
        plain, _, query = path.partition("?")
        if recording := self.recorded.get(f"https://{HOST}{plain}"):
            return recorded(recording)
        if gist := re.fullmatch(r"/gists/([^/]+)/commits", plain):
            return self._revisions(gist[1])
        if gist := re.fullmatch(r"/gists/([^/]+)(?:/([^/]+))?", plain):
            return self._gist(gist[1], gist[2] or "HEAD")
        if about := re.fullmatch(r"/repos/([^/]+/[^/]+)", plain):
            return self._about(about[1])
        match = re.fullmatch(r"/repos/([^/]+/[^/]+)/(commits|compare|git/trees|git/blobs|git/ref|git/tags)/(.+)", plain)
        if match is None:
            return Reply(404, {"message": "Not Found"})
        name, kind, rest = match.groups()
        if name in self.renamed:
            location = f"{self.url}{path.replace(name, self.renamed[name], 1)}"
            return Reply(301, {"message": "Moved Permanently", "url": location}, {"Location": location})
        folder = self.repositories.get(name)
        if folder is None:
            return Reply(404, {"message": "Not Found"})
        if kind == "commits" and rest.endswith("/branches-where-head"):
            return branches_where_head(folder, rest.partition("/")[0])
        if kind == "git/trees":
            return self._tree(folder, rest, "recursive=1" in query)
        answers = {"commits": _commit, "compare": compared, "git/blobs": _blob, "git/ref": a_ref, "git/tags": a_tag}
        return answers[kind](folder, unquote(rest))

    def _about(self, name: str) -> Reply:
        if name in self.renamed:
            return Reply(301, {"message": "Moved Permanently"}, {"Location": f"{self.url}/repos/{self.renamed[name]}"})
        if name not in self.repositories:
            return Reply(404, {"message": "Not Found"})
        private = name in self.private
        return Reply(200, {"full_name": name, "private": private, "visibility": "private" if private else "public"})

    def _gist(self, gist: str, revision: str) -> Reply:
        folder = self.gists.get(gist)
        try:
            log = (
                git("-C", folder, "log", "--format=%H", "-30", "--end-of-options", f"{revision}^{{commit}}")
                if folder
                else b""
            )
        except RuntimeError:
            log = b""
        if not log:
            return Reply(404, {"message": "Not Found"})
        history = [{"version": commit, "change_status": {}} for commit in log.decode().split()]
        owner = {"login": self.owner} if self.owner else None
        return Reply(
            200, {"id": gist, "public": gist not in self.secret, "owner": owner, "files": {}, "history": history}
        )

    def _revisions(self, gist: str) -> Reply:
        folder = self.gists.get(gist)
        if folder is None:
            return Reply(404, {"message": "Not Found"})
        log = git("-C", folder, "log", "--format=%H", "-100", "HEAD").decode().split()
        return Reply(200, [{"version": commit, "change_status": {}} for commit in log])

    def _tree(self, folder: Path, tree: str, recursive: bool) -> Reply:
        listed = git("-C", folder, "ls-tree", "-z", *(["-r", "-t"] if recursive else []), tree)
        entries = []
        for line in filter(None, listed.split(b"\0")):
            mode, kind, sha = line.partition(b"\t")[0].decode().split()
            path = line.partition(b"\t")[2].decode(errors="replace")
            entries.append({"path": path, "mode": mode, "type": kind, "sha": sha})
        truncated = self.truncated or len(entries) > LISTING_LIMIT
        return Reply(200, {"sha": tree, "tree": entries[:LISTING_LIMIT], "truncated": truncated})


def _commit(folder: Path, ref: str) -> Reply:
    if not git("-C", folder, "for-each-ref", "--count=1"):
        return Reply(409, {"message": "Git Repository is empty."})
    try:
        commit = git("-C", folder, "rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}").decode().strip()
    except RuntimeError:
        return Reply(422, {"message": f"No commit found for SHA: {ref}"})
    tree = git("-C", folder, "rev-parse", f"{commit}^{{tree}}").decode().strip()
    return Reply(200, {"sha": commit, "commit": {"message": "change", "tree": {"sha": tree}}, "files": []})


def _blob(folder: Path, blob: str) -> Reply:
    try:
        content = git("-C", folder, "cat-file", "blob", blob)
    except RuntimeError:
        return Reply(404, {"message": "Not Found"})
    return Reply(200, {"sha": blob, "size": len(content), "encoding": "base64", "content": b64encode(content).decode()})
