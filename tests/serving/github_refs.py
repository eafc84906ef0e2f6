"""GitHub's answers about refs and about the relation of two commits, made from a local git repository.

As documented: docs.github.com/en/rest/commits/commits#list-branches-for-head-commit, .../commits#compare-two-commits,
docs.github.com/en/rest/git/refs#get-a-reference, docs.github.com/en/rest/git/tags#get-a-tag.
"""

from pathlib import Path

from tests.serving.git_http import git
from tests.serving.host_api import Reply

NOT_FOUND = Reply(404, {"message": "Not Found"})


def branches_where_head(folder: Path, commit: str) -> Reply:
    """Return the branches with this commit as their tip; 422 if the id names no commit."""
    try:
        git("-C", folder, "cat-file", "-e", f"{commit}^{{commit}}")
    except RuntimeError:
        return Reply(422, {"message": f"No commit found for SHA: {commit}"})
    listed = git("-C", folder, "for-each-ref", "--points-at", commit, "--format=%(refname:short)", "refs/heads/")
    return Reply(
        200, [{"name": name, "commit": {"sha": commit}, "protected": False} for name in listed.decode().split()]
    )


def compared(folder: Path, comparison: str) -> Reply:
    """Return the relation of `head` to `base`, for `<base>...<head>`; 404 for two that have no commit in common."""
    base, _, head = comparison.partition("...")
    try:
        common = git("-C", folder, "merge-base", base, head).decode().strip()
    except RuntimeError:
        return NOT_FOUND
    base, head = (git("-C", folder, "rev-parse", f"{each}^{{commit}}").decode().strip() for each in (base, head))
    behind, ahead = (
        int(git("-C", folder, "rev-list", "--count", span)) for span in (f"{head}..{base}", f"{base}..{head}")
    )
    status = {(False, False): "identical", (True, False): "behind", (False, True): "ahead"}
    answer = {
        "status": status.get((behind > 0, ahead > 0), "diverged"),
        "ahead_by": ahead,
        "behind_by": behind,
        "total_commits": ahead,
        "base_commit": {"sha": base},
        "merge_base_commit": {"sha": common},
        "commits": [],
        "files": [],
    }
    return Reply(200, answer)


def a_ref(folder: Path, name: str) -> Reply:
    """Return the ref `heads/...` or `tags/...`, and the object that it names."""
    listed = git(
        "-C", folder, "for-each-ref", "--format=%(refname) %(objecttype) %(objectname)", f"refs/{name}"
    ).decode()
    for ref, kind, sha in (line.split() for line in listed.splitlines()):
        if ref == f"refs/{name}":
            return Reply(200, {"ref": ref, "object": {"type": kind, "sha": sha}})
    return NOT_FOUND


def a_tag(folder: Path, tag: str) -> Reply:
    """Return an annotated tag, and the object that it names."""
    try:
        text = git("-C", folder, "cat-file", "tag", tag).decode()
    except RuntimeError:
        return NOT_FOUND
    facts = dict(line.split(" ", 1) for line in text.partition("\n\n")[0].splitlines())
    return Reply(200, {"tag": facts["tag"], "sha": tag, "object": {"type": facts["type"], "sha": facts["object"]}})
