"""The repository provider's contract, on every provider."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from bindery.adapters.clock import SystemClock
from bindery.adapters.hosts.git import GitProvider
from bindery.adapters.hosts.github.gist import GistProvider
from bindery.adapters.hosts.github.provider import GitHubProvider
from bindery.adapters.hosts.gitlab import GitLabProvider
from bindery.adapters.hosts.records.base import RECORD_HOSTS
from bindery.adapters.hosts.registry import PROVIDERS
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import (
    BadRef,
    BadSpec,
    ForbiddenAddress,
    HostUnreachable,
    RefNotFound,
    RepositoryNotFound,
    RepositoryTooLarge,
)
from bindery.ports.repository_provider import RepositoryProvider
from bindery.ports.table import Table
from bindery_local.sqlite_table import SqliteTable
from tests.serving.git_http import File, GitServer, git, make_repository
from tests.serving.github_api import GitHubServer
from tests.serving.gitlab_api import GitLabServer

FILES: dict[str, str | bytes | File] = {
    "README.md": "hi\n",
    "binder/requirements.txt": "numpy\n",
    "binder/start": File("#!/bin/sh\n", 0o100755),
    "link": File("README.md", 0o120000),
    "sub": File("1" * 40, 0o160000),
    "r\u00e9sum\u00e9 2.txt": "x",
    "a/b/c/d": "",
}

HOSTS = ("gh", "gist", "gl", "git")
AUTHOR = ("-c", "user.name=A", "-c", "user.email=a@example.org")


@dataclass
class Host:
    """A provider with the repository `o/r` behind it. make: an equal provider that may not ask its host.

    spec: of a name and a ref. page, clone: addresses of a name.
    """

    provider: RepositoryProvider
    make: Callable[[tuple[str, ...]], RepositoryProvider]
    folder: Path
    spec: Callable[[str, str], str]
    page: Callable[[str], str]
    clone: Callable[[str], str]


@contextmanager
def serving(kind: str, root: Path, table: Table) -> Iterator[Host]:
    folder = root / "o" / "r"
    with ExitStack() as stack:
        server = stack.enter_context(GitServer(root))
        if kind == "git":
            yield on_git(server, folder)
        elif kind == "gl":
            lab = stack.enter_context(GitLabServer({"o/r": folder, "O/R": folder}, clones=server.url("").rstrip("/")))
            yield on_gitlab(lab, server, table, folder)
        else:
            api = stack.enter_context(GitHubServer({"o/r": folder, "O/R": folder}))
            yield on_github(api, table, folder) if kind == "gh" else on_gist(api, server, table, folder)


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    yield from served_host(request.param, tmp_path)


@pytest.fixture(params=["git", "gh", "gl"])
def branching(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    """Yield a host that has repositories with branches and tags."""
    yield from served_host(request.param, tmp_path)


def served_host(kind: str, root: Path) -> Iterator[Host]:
    (root / "o").mkdir()
    make_repository(root / "o" / "r", FILES)
    (root / "O").symlink_to("o")
    (root / "o" / "R").symlink_to("r")
    table = SqliteTable(None)
    with serving(kind, root, table) as host:
        yield host
    table.close()


def on_git(server: GitServer, folder: Path) -> Host:
    def make(allowed: tuple[str, ...]) -> RepositoryProvider:
        return GitProvider(GuardedClient(allowed), SystemClock())

    def spec(name: str, ref: str) -> str:
        return f"{quote(server.url(name), safe='')}/{ref}"

    return Host(make((server.address,)), make, folder, spec, server.url, server.url)


def on_github(api: GitHubServer, table: Table, folder: Path) -> Host:
    def make(allowed: tuple[str, ...]) -> RepositoryProvider:
        return GitHubProvider(GuardedClient(allowed), table, SystemClock(), api_url=api.url)

    page = "https://github.com/{}".format
    return Host(make((api.address,)), make, folder, "{}/{}".format, page, page)


def on_gitlab(lab: GitLabServer, server: GitServer, table: Table, folder: Path) -> Host:
    def make(allowed: tuple[str, ...]) -> RepositoryProvider:
        return GitLabProvider(GuardedClient(allowed), table, SystemClock(), url=lab.url)

    def spec(name: str, ref: str) -> str:
        return f"{quote(name, safe='')}/{ref}"

    page = f"{lab.url}/{{}}"
    return Host(make((lab.address, server.address)), make, folder, spec, page.format, f"{page}.git".format)


def on_gist(api: GitHubServer, server: GitServer, table: Table, folder: Path) -> Host:
    api.gists[gist("o/r").partition("/")[2]] = folder
    (folder.parent / f"{gist('o/r').partition('/')[2]}.git").symlink_to(folder)

    def make(allowed: tuple[str, ...]) -> RepositoryProvider:
        return GistProvider(
            GuardedClient(allowed), table, SystemClock(), api_url=api.url, url=server.url("").rstrip("/")
        )

    def spec(name: str, ref: str) -> str:
        return f"{gist(name)}/{ref}"

    def page(name: str) -> str:
        return server.url(gist(name))

    return Host(make((api.address, server.address)), make, folder, spec, page, lambda name: f"{page(name)}.git")


def gist(name: str) -> str:
    """Return the gist in a repository's place: its id is a number."""
    owner, _, repository = name.partition("/")
    return f"{owner}/{repository.lower().encode().hex()}"


def tip(host: Host, ref: str = "HEAD") -> str:
    return git("-C", host.folder, "rev-parse", f"{ref}^{{commit}}").decode().strip()


def test_every_provider_has_a_case_here_or_among_the_record_hosts() -> None:
    assert sorted(HOSTS + RECORD_HOSTS) == sorted(PROVIDERS)


def test_head_is_the_tip_of_the_default_branch(host: Host) -> None:
    resolution = host.provider.resolve(host.spec("o/r", "HEAD"))
    assert resolution.note == ""
    assert resolution.repository.provider == host.provider.id
    assert resolution.repository.spec == host.spec("o/r", "HEAD")
    assert resolution.repository.ref == tip(host)
    assert resolution.repository.clone_url == host.clone("o/r")
    assert resolution.repository.repo_url == host.provider.check(host.spec("o/r", "HEAD"))


def test_names_in_any_case_are_one_repository_if_the_host_ignores_case(host: Host) -> None:
    lower, upper = [host.provider.resolve(host.spec(name, "HEAD")).repository for name in ("o/r", "O/R")]
    assert lower.canonical_url == host.provider.check(lower.spec)
    assert upper.canonical_url == host.provider.check(upper.spec)
    assert (lower.canonical_url == upper.canonical_url) is (host.provider.id != "git")
    assert (upper.clone_url, upper.repo_url) == (host.clone("O/R"), host.page("O/R"))


def test_branches_with_slashes_and_tags_of_both_kinds_lead_to_commits(branching: Host) -> None:
    git("-C", branching.folder, "branch", "feature/x")
    git("-C", branching.folder, "tag", "light")
    git("-C", branching.folder, "-c", "user.name=A", "-c", "user.email=a@example.org", "tag", "-am", "x", "v1.0")
    for ref in ("main", "feature/x", "light", "v1.0"):
        assert branching.provider.resolve(branching.spec("o/r", ref)).repository.ref == tip(branching)


def test_a_branch_is_not_confused_with_a_longer_name(branching: Host) -> None:
    first = tip(branching)
    git("-C", branching.folder, "branch", "a", first)
    git("-C", branching.folder, "branch", "a-longer", make_repository(branching.folder, {"x": "y"}))
    assert branching.provider.resolve(branching.spec("o/r", "a")).repository.ref == first


def test_a_commit_that_no_branch_leads_to_still_resolves(host: Host) -> None:
    first = tip(host)
    make_repository(host.folder, {"x": "y"})
    assert host.provider.resolve(host.spec("o/r", first)).repository.ref == first
    assert host.provider.resolve(host.spec("o/r", first.upper())).repository.ref == first


def test_the_resolved_spec_always_leads_to_the_same_commit(host: Host) -> None:
    first = host.provider.resolve(host.spec("o/r", "HEAD")).repository
    make_repository(host.folder, {"x": "y"})
    again = host.provider.resolve(first.resolved_spec).repository
    assert again.ref == first.ref != host.provider.resolve(host.spec("o/r", "HEAD")).repository.ref
    assert again.resolved_spec == first.resolved_spec


@pytest.mark.parametrize("ref", ["nosuch", "v9", "1" * 40, "feature/none"])
def test_a_missing_ref_is_reported(host: Host, ref: str) -> None:
    with pytest.raises(RefNotFound) as caught:
        host.provider.resolve(host.spec("o/r", ref))
    assert caught.value.facts["ref"] == ref


def test_a_tree_or_a_file_is_no_commit(host: Host) -> None:
    for expression in ("HEAD^{tree}", "HEAD:README.md"):
        commit = git("-C", host.folder, "rev-parse", expression).decode().strip()
        with pytest.raises(RefNotFound):
            host.provider.resolve(host.spec("o/r", commit))


def test_head_replaces_a_missing_master_with_a_note(branching: Host) -> None:
    resolution = branching.provider.resolve(branching.spec("o/r", "master"))
    assert resolution.repository.ref == tip(branching)
    assert "master" in resolution.note
    assert "HEAD" in resolution.note


def test_an_existing_master_is_used(branching: Host) -> None:
    first = tip(branching)
    git("-C", branching.folder, "branch", "master")
    make_repository(branching.folder, {"x": "y"})
    resolution = branching.provider.resolve(branching.spec("o/r", "master"))
    assert (resolution.repository.ref, resolution.note) == (first, "")


def foreign(host: Host, name: str = "refs/pull/1/head") -> str:
    """Return a commit that a stranger made from the default branch's tip, under a ref that is neither a branch nor a tag."""
    commit = (
        git("-C", host.folder, *AUTHOR, "commit-tree", "-p", tip(host), "-m", "mine", f"{tip(host)}^{{tree}}")
        .decode()
        .strip()
    )
    git("-C", host.folder, "update-ref", name, commit)
    return commit


def is_own(host: Host, ref: str) -> bool:
    """Return True if the provider knows at once, or finds out, that the ref's commit is the repository's own."""
    repository = host.provider.resolve(host.spec("o/r", ref)).repository
    return repository.on_branch_or_tag or host.provider.on_branch_or_tag(repository)


def test_the_default_branch_counts_as_the_repositorys_own_without_a_request(host: Host) -> None:
    assert host.provider.resolve(host.spec("o/r", "HEAD")).repository.on_branch_or_tag
    assert host.provider.resolve(host.spec("o/r", "master")).repository.on_branch_or_tag


@pytest.mark.parametrize("ref", ["refs/pull/1/head", "pull/1/head", "refs/merge-requests/1/head", "refs/changes/01/1"])
def test_a_ref_that_is_no_branch_and_no_tag_is_not_the_repositorys_own(branching: Host, ref: str) -> None:
    commit = foreign(branching, ref if ref.startswith("refs/") else f"refs/{ref}")
    repository = branching.provider.resolve(branching.spec("o/r", ref)).repository
    assert (repository.ref, repository.on_branch_or_tag) == (commit, False)
    assert not branching.provider.on_branch_or_tag(repository)


def test_a_foreign_commit_by_its_id_is_not_the_repositorys_own(host: Host) -> None:
    repository = host.provider.resolve(host.spec("o/r", foreign(host))).repository
    assert not repository.on_branch_or_tag
    assert not host.provider.on_branch_or_tag(repository)


def test_a_foreign_commit_with_unrelated_history_is_not_the_repositorys_own(host: Host) -> None:
    commit = git("-C", host.folder, *AUTHOR, "commit-tree", "-m", "mine", f"{tip(host)}^{{tree}}").decode().strip()
    assert not is_own(host, commit)


def test_branches_and_tags_outside_the_default_branch_are_the_repositorys_own(
    branching: Host,
) -> None:
    commit = foreign(branching, "refs/heads/feature/x")
    git("-C", branching.folder, "tag", "light", tagged := foreign(branching, "refs/hidden/light"))
    git("-C", branching.folder, *AUTHOR, "tag", "-am", "x", "v1.0", annotated := foreign(branching, "refs/hidden/v1"))
    for ref, expected in (("feature/x", commit), ("light", tagged), ("v1.0", annotated)):
        assert branching.provider.resolve(branching.spec("o/r", ref)).repository.ref == expected
        assert is_own(branching, ref)
    assert is_own(branching, commit), "a branch leads to it"


@pytest.mark.parametrize("kind", ["gh", "gl", "gist"])
def test_a_commit_in_the_default_branchs_history_is_the_repositorys_own(kind: str, tmp_path: Path) -> None:
    for host in served_host(kind, tmp_path):
        first = tip(host)
        make_repository(host.folder, {"x": "y"})
        assert is_own(host, first)
        assert is_own(host, tip(host))


def test_a_commit_that_the_host_deleted_is_not_the_repositorys_own(host: Host) -> None:
    repository = host.provider.resolve(host.spec("o/r", tip(host))).repository
    assert not host.provider.on_branch_or_tag(
        repository.model_copy(update={"ref": "1" * 40, "spec": host.spec("o/r", "1" * 40)})
    )


def test_a_deleted_repository_has_no_commits_of_its_own(host: Host) -> None:
    repository = host.provider.resolve(host.spec("o/r", tip(host))).repository
    gone = {"spec": host.spec("o/gone", repository.ref), "clone_url": host.clone("o/gone"), "resolved_spec": ""}
    assert not host.provider.on_branch_or_tag(repository.model_copy(update=gone))


def test_a_missing_repository_is_reported(host: Host) -> None:
    with pytest.raises(RepositoryNotFound) as caught:
        host.provider.resolve(host.spec("o/nosuch", "HEAD"))
    assert caught.value.facts["url"] == host.page("o/nosuch")


@pytest.mark.parametrize("ref", ["-x", "--upload-pack=id", "a..b", "a b", "a~1", "x" * 256, "a.lock"])
def test_a_ref_that_git_forbids_is_refused_without_a_request(host: Host, ref: str) -> None:
    for ask in (host.provider.check, host.provider.resolve):
        with pytest.raises(BadRef):
            ask(host.spec("o/r", ref))


def test_a_ref_may_be_omitted_only_if_links_of_the_provider_do_so(branching: Host) -> None:
    for ask in (branching.provider.check, branching.provider.resolve):
        with pytest.raises(BadRef):
            ask(branching.spec("o/r", ""))


@pytest.mark.parametrize("spec", ["", "x", "%00/%00/x", "\0", "%ff%fe/%ff/HEAD", "a" * 10_000, "../../etc/passwd"])
def test_a_spec_of_another_kind_is_refused_without_a_request(host: Host, spec: str) -> None:
    for ask in (host.provider.check, host.provider.resolve):
        with pytest.raises(BadSpec):
            ask(spec)


def test_a_private_host_is_forbidden_unless_allowed(host: Host) -> None:
    with pytest.raises(ForbiddenAddress):
        host.make(()).resolve(host.spec("o/r", "HEAD"))


def test_the_listing_names_every_file_with_mode_and_id(host: Host) -> None:
    repository = host.provider.resolve(host.spec("o/r", "HEAD")).repository
    tree = host.provider.tree(repository)
    assert tree is not None
    assert tree.id == git("-C", host.folder, "rev-parse", "HEAD^{tree}").decode().strip()
    listed = git("-C", host.folder, "ls-tree", "-r", "-z", "HEAD").decode().split("\0")
    expected = {
        path: (int(meta.split()[0], 8), meta.split()[2])
        for meta, _, path in (line.partition("\t") for line in listed if line)
    }
    assert {path: (entry.mode, entry.id) for path, entry in tree.entries.items()} == expected
    assert set(tree.entries) == set(FILES)


def test_files_are_read_unchanged(host: Host) -> None:
    make_repository(
        host.folder, {"text": "numpy\n", "empty": "", "bytes": b"\0\xff\r\n" * 100, "limit": b"x" * 1_000_000}
    )
    repository = host.provider.resolve(host.spec("o/r", "HEAD")).repository
    tree = host.provider.tree(repository)
    assert tree is not None
    read = {name: host.provider.read(repository, entry) for name, entry in tree.entries.items()}
    assert read == {"text": b"numpy\n", "empty": b"", "bytes": b"\0\xff\r\n" * 100, "limit": b"x" * 1_000_000}


def test_a_file_over_a_megabyte_is_not_read(host: Host) -> None:
    make_repository(host.folder, {"big": b"x" * 1_000_001})
    repository = host.provider.resolve(host.spec("o/r", "HEAD")).repository
    tree = host.provider.tree(repository)
    assert tree is not None
    with pytest.raises(RepositoryTooLarge):
        host.provider.read(repository, tree.entries["big"])


def test_the_listing_of_an_older_commit_has_its_files(host: Host) -> None:
    first = host.provider.resolve(host.spec("o/r", "HEAD")).repository
    make_repository(host.folder, {"only": "this"})
    tree = host.provider.tree(first)
    assert tree is not None
    assert "README.md" in tree.entries


@pytest.mark.parametrize("kind", ["git", "gh", "gist", "gl"])
def test_a_host_that_is_down_is_unreachable(kind: str, tmp_path: Path) -> None:
    (tmp_path / "o").mkdir()
    table = SqliteTable(None)
    with serving(kind, tmp_path, table) as host:
        pass
    with pytest.raises(HostUnreachable):
        host.provider.resolve(host.spec("o/r", "HEAD"))
    table.close()


def test_a_provider_has_complete_display_texts(host: Host) -> None:
    display = host.provider.display
    assert all((display.name, display.example, display.regex, display.repo_label, display.repo_placeholder))
    assert host.provider.check(display.example)
