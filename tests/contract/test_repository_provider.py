"""The repository provider's contract, on every provider."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from bindery.adapters.clock import SystemClock
from bindery.adapters.repositories.git import GitProvider
from bindery.adapters.repositories.github import GitHubProvider
from bindery.adapters.repositories.guard import GuardedClient
from bindery.adapters.tables.sqlite import SqliteTable
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
from tests.serving.git_http import File, GitServer, git, make_repository
from tests.serving.github_api import GitHubServer

FILES: dict[str, str | bytes | File] = {
    "README.md": "hi\n",
    "binder/requirements.txt": "numpy\n",
    "binder/start": File("#!/bin/sh\n", 0o100755),
    "link": File("README.md", 0o120000),
    "sub": File("1" * 40, 0o160000),
    "r\u00e9sum\u00e9 2.txt": "x",
    "a/b/c/d": "",
}


@dataclass
class Host:
    """A provider with the repository `o/r` behind it. make: the same provider, but its host may not be asked."""

    provider: RepositoryProvider
    make: Callable[[tuple[str, ...]], RepositoryProvider]
    folder: Path
    spec: Callable[[str, str], str]
    clone_root: str


@pytest.fixture(params=["git", "gh"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    folder = tmp_path / "o" / "r"
    folder.parent.mkdir()
    make_repository(folder, FILES)
    if request.param == "git":
        with GitServer(tmp_path) as server:
            yield on_git(server, folder)
    else:
        with GitHubServer({"o/r": folder}) as api:
            table = SqliteTable(None)
            yield on_github(api, table, folder)
            table.close()


def on_git(server: GitServer, folder: Path) -> Host:
    def make(allowed: tuple[str, ...]) -> RepositoryProvider:
        return GitProvider(GuardedClient(allowed), SystemClock())

    def spec(name: str, ref: str) -> str:
        return f"{quote(server.url(name), safe='')}/{ref}"

    return Host(make((server.address,)), make, folder, spec, server.url(""))


def on_github(api: GitHubServer, table: SqliteTable, folder: Path) -> Host:
    def make(allowed: tuple[str, ...]) -> RepositoryProvider:
        return GitHubProvider(GuardedClient(allowed), table, SystemClock(), api_url=api.url)

    return Host(make((api.address,)), make, folder, "{}/{}".format, "https://github.com/")


def tip(host: Host, ref: str = "HEAD") -> str:
    return git("-C", host.folder, "rev-parse", f"{ref}^{{commit}}").decode().strip()


def test_head_is_the_default_branchs_tip(host: Host) -> None:
    found = host.provider.resolve(host.spec("o/r", "HEAD"))
    assert found.note == ""
    assert found.repository.provider == host.provider.id
    assert found.repository.spec == host.spec("o/r", "HEAD")
    assert found.repository.ref == tip(host)
    assert found.repository.clone_url == f"{host.clone_root}o/r"
    assert found.repository.repo_url == host.provider.check(host.spec("o/r", "HEAD"))


def test_branches_with_slashes_and_tags_of_both_kinds_lead_to_commits(host: Host) -> None:
    git("-C", host.folder, "branch", "feature/x")
    git("-C", host.folder, "tag", "light")
    git("-C", host.folder, "-c", "user.name=A", "-c", "user.email=a@example.org", "tag", "-am", "x", "v1.0")
    for ref in ("main", "feature/x", "light", "v1.0"):
        assert host.provider.resolve(host.spec("o/r", ref)).repository.ref == tip(host)


def test_a_branch_whose_name_another_begins_with_is_not_mistaken(host: Host) -> None:
    first = tip(host)
    git("-C", host.folder, "branch", "a", first)
    git("-C", host.folder, "branch", "a-longer", make_repository(host.folder, {"x": "y"}))
    assert host.provider.resolve(host.spec("o/r", "a")).repository.ref == first


def test_a_commit_that_exists_is_kept_even_when_no_branch_leads_to_its_tip(host: Host) -> None:
    first = tip(host)
    make_repository(host.folder, {"x": "y"})
    assert host.provider.resolve(host.spec("o/r", first)).repository.ref == first
    assert host.provider.resolve(host.spec("o/r", first.upper())).repository.ref == first


def test_the_resolved_spec_leads_to_the_same_ref_for_ever(host: Host) -> None:
    first = host.provider.resolve(host.spec("o/r", "main")).repository
    make_repository(host.folder, {"x": "y"})
    again = host.provider.resolve(first.resolved_spec).repository
    assert again.ref == first.ref != host.provider.resolve(host.spec("o/r", "main")).repository.ref
    assert again.resolved_spec == first.resolved_spec


@pytest.mark.parametrize("ref", ["nosuch", "v9", "1" * 40, "feature/none"])
def test_a_ref_that_is_not_there_is_said_so(host: Host, ref: str) -> None:
    with pytest.raises(RefNotFound) as caught:
        host.provider.resolve(host.spec("o/r", ref))
    assert caught.value.facts["ref"] == ref


def test_a_tree_or_a_file_is_no_commit(host: Host) -> None:
    for thing in ("HEAD^{tree}", "HEAD:README.md"):
        found = git("-C", host.folder, "rev-parse", thing).decode().strip()
        with pytest.raises(RefNotFound):
            host.provider.resolve(host.spec("o/r", found))


def test_head_stands_in_for_a_missing_master_with_a_note(host: Host) -> None:
    found = host.provider.resolve(host.spec("o/r", "master"))
    assert found.repository.ref == tip(host)
    assert "master" in found.note
    assert "HEAD" in found.note


def test_master_is_master_where_there_is_one(host: Host) -> None:
    first = tip(host)
    git("-C", host.folder, "branch", "master")
    make_repository(host.folder, {"x": "y"})
    found = host.provider.resolve(host.spec("o/r", "master"))
    assert (found.repository.ref, found.note) == (first, "")


def test_a_repository_that_is_not_there_is_said_so(host: Host) -> None:
    with pytest.raises(RepositoryNotFound) as caught:
        host.provider.resolve(host.spec("o/nosuch", "HEAD"))
    assert caught.value.facts["url"] == f"{host.clone_root}o/nosuch"


@pytest.mark.parametrize("ref", ["-x", "--upload-pack=id", "a..b", "a b", "a~1", "", "x" * 256, "a.lock"])
def test_a_ref_that_no_repository_could_have_is_refused_without_asking(host: Host, ref: str) -> None:
    for ask in (host.provider.check, host.provider.resolve):
        with pytest.raises(BadRef):
            ask(host.spec("o/r", ref))


@pytest.mark.parametrize("spec", ["", "x", "%00/%00/x", "\0", "%ff%fe/%ff/HEAD", "a" * 10_000, "../../etc/passwd"])
def test_a_spec_of_another_kind_is_refused_without_asking(host: Host, spec: str) -> None:
    for ask in (host.provider.check, host.provider.resolve):
        with pytest.raises(BadSpec):
            ask(spec)


def test_a_private_host_is_forbidden_unless_allowed(host: Host) -> None:
    with pytest.raises(ForbiddenAddress):
        host.make(()).resolve(host.spec("o/r", "HEAD"))


def test_the_listing_names_every_file_with_mode_and_id(host: Host) -> None:
    found = host.provider.resolve(host.spec("o/r", "HEAD")).repository
    tree = host.provider.tree(found)
    assert tree is not None
    assert tree.id == git("-C", host.folder, "rev-parse", "HEAD^{tree}").decode().strip()
    listed = git("-C", host.folder, "ls-tree", "-r", "-z", "HEAD").decode().split("\0")
    expected = {
        path: (int(meta.split()[0], 8), meta.split()[2])
        for meta, _, path in (line.partition("\t") for line in listed if line)
    }
    assert {path: (entry.mode, entry.id) for path, entry in tree.entries.items()} == expected
    assert set(tree.entries) == set(FILES)


def test_files_are_read_as_they_are(host: Host) -> None:
    make_repository(
        host.folder, {"text": "numpy\n", "empty": "", "bytes": b"\0\xff\r\n" * 100, "limit": b"x" * 1_000_000}
    )
    found = host.provider.resolve(host.spec("o/r", "HEAD")).repository
    tree = host.provider.tree(found)
    assert tree is not None
    read = {name: host.provider.read(found, entry) for name, entry in tree.entries.items()}
    assert read == {"text": b"numpy\n", "empty": b"", "bytes": b"\0\xff\r\n" * 100, "limit": b"x" * 1_000_000}


def test_a_file_over_a_megabyte_is_not_read(host: Host) -> None:
    make_repository(host.folder, {"big": b"x" * 1_000_001})
    found = host.provider.resolve(host.spec("o/r", "HEAD")).repository
    tree = host.provider.tree(found)
    assert tree is not None
    with pytest.raises(RepositoryTooLarge):
        host.provider.read(found, tree.entries["big"])


def test_a_listing_of_an_older_commit_is_that_commits(host: Host) -> None:
    first = host.provider.resolve(host.spec("o/r", "HEAD")).repository
    make_repository(host.folder, {"only": "this"})
    tree = host.provider.tree(first)
    assert tree is not None
    assert "README.md" in tree.entries


def test_a_host_that_is_down_is_unreachable(tmp_path: Path) -> None:
    with GitServer(tmp_path) as server:
        url, address = server.url("r"), server.address
    table = SqliteTable(None)
    client = GuardedClient([address])
    hosts: list[tuple[RepositoryProvider, str]] = [
        (GitProvider(client, SystemClock()), f"{quote(url, safe='')}/HEAD"),
        (GitHubProvider(client, table, SystemClock(), api_url=f"http://{address}"), "o/r/HEAD"),
    ]
    for provider, spec in hosts:
        with pytest.raises(HostUnreachable):
            provider.resolve(spec)
    table.close()


def test_it_shows_itself(host: Host) -> None:
    display = host.provider.display
    assert all((display.name, display.example, display.regex, display.repo_label, display.repo_placeholder))
    assert host.provider.check(display.example)
