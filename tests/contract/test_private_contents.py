"""Private repositories laid out from a real git server. It admits only clients that show the right credentials."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bindery.adapters.clock import SystemClock
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import RepositoryNotFound
from bindery.domain.repository import Repository
from bindery_builder.contents.git import GitContents
from tests.serving.git_http import File, GitServer, git, make_repository

SHOWN = "Basic c2VjcmV0"


@dataclass
class Place:
    server: GitServer
    elsewhere: GitServer
    contents: GitContents
    root: Path

    def make(self, name: str, files: dict[str, str | File], *, private: bool = True) -> Repository:
        """Return a repository. private: whether its host hides it."""
        ref = make_repository(self.server.root / name, files)
        if private:
            self.server.private[f"/{name}/"] = SHOWN
        url = self.server.url(name)
        words = {"provider": "gh", "spec": "s", "resolved_spec": "s", "repo_url": url, "ref_url": url}
        return Repository(ref=ref, clone_url=url, private=private, **words)

    def left(self) -> list[str]:
        return sorted(path.name for path in (self.root / "work").iterdir())

    def names_with_credentials(self) -> set[str]:
        """Return the repositories that were requested with the credentials."""
        return {path.split("/")[1] for path, authorization in self.server.authorizations if authorization == SHOWN}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    for name in ("served", "elsewhere", "work"):
        (tmp_path / name).mkdir()
    with GitServer(tmp_path / "served") as server, GitServer(tmp_path / "elsewhere") as elsewhere:
        client = GuardedClient([server.address, elsewhere.address])
        authorization = {True: SHOWN, False: ""}
        contents = GitContents(
            tmp_path / "cache",
            client,
            SystemClock(),
            authorization=lambda repository: authorization[repository.private],
        )
        yield Place(server, elsewhere, contents, tmp_path)
        client.close()


def test_a_private_checkout_contains_no_credentials(place: Place, work: Path) -> None:
    place.contents.checkout(place.make("secret.git", {"README.md": "hidden\n"}), work)
    assert (work / "README.md").read_text() == "hidden\n"
    assert git("-C", work, "remote", "get-url", "origin").decode().strip() == place.server.url("secret.git")
    written = [path for path in place.root.joinpath("work").rglob("*") if path.is_file()]
    assert work / ".git" / "config" in written
    assert [path for path in written if b"c2VjcmV0" in path.read_bytes() or b"Basic" in path.read_bytes()] == []


def test_no_credentials_are_sent_for_a_public_repository(place: Place, work: Path) -> None:
    place.contents.checkout(place.make("open.git", {"README.md": "hi\n"}, private=False), work)
    assert place.server.authorizations == []


def test_a_private_repository_without_credentials_is_not_found(place: Place, work: Path) -> None:
    secret = place.make("secret.git", {"README.md": "hidden\n"})
    with pytest.raises(RepositoryNotFound):
        place.contents.checkout(secret.model_copy(update={"private": False}), work)
    assert place.left() == []


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_credentials_do_not_follow_a_redirect_to_another_host(place: Place, work: Path, status: int) -> None:
    make_repository(place.elsewhere.root / "secret.git", {"README.md": "another's\n"})
    secret = place.make("secret.git", {"README.md": "another's\n"})
    del place.server.private["/secret.git/"]
    there = f"{place.elsewhere.url('secret.git')}/info/refs?service=git-upload-pack"
    place.server.answers["/secret.git/info/refs"] = (status, {"Location": there})
    place.contents.checkout(secret, work)
    assert [path for path, _ in place.server.authorizations] == ["/secret.git/info/refs?service=git-upload-pack"]
    assert len(place.elsewhere.requests) == 4
    assert place.elsewhere.authorizations == []


def test_credentials_follow_a_redirect_within_the_host(place: Place, work: Path) -> None:
    secret = place.make("new.git", {"README.md": "hidden\n"})
    there = f"{place.server.url('new.git')}/info/refs?service=git-upload-pack"
    place.server.answers["/old.git/info/refs"] = (301, {"Location": there})
    place.contents.checkout(secret.model_copy(update={"clone_url": place.server.url("old.git")}), work)
    assert place.names_with_credentials() == {"old.git", "new.git"}


def submodule(url: str, ref: str) -> dict[str, str | File]:
    return {".gitmodules": f'[submodule "m"]\n\tpath = m\n\turl = {url}\n', "m": File(ref, 0o160000)}


@pytest.mark.parametrize("private", [True, False])
def test_no_credentials_are_sent_for_a_submodule_at_the_same_host(place: Place, work: Path, private: bool) -> None:
    """A private submodule at the same host is not fetched.

    Any author may write its address into a public repository, and would get content that only the operator's token may read.
    """
    other = place.make("other.git", {"README.md": "not for visitors\n"})
    outer = place.make("outer.git", submodule(other.clone_url, other.ref), private=private)
    (note,) = place.contents.checkout(outer, work).notes
    assert "private" in note
    assert place.names_with_credentials() == ({"outer.git"} if private else set())
    assert list((work / "m").iterdir()) == []


def test_a_cached_private_repository_is_no_submodule_of_another_launch(place: Place, work: Path) -> None:
    secret = place.make("secret.git", {"README.md": "hidden\n"})
    place.contents.checkout(secret, work)
    outer = place.make("outer.git", submodule(secret.clone_url, secret.ref), private=False)
    place.contents.checkout(outer, work.with_name("another"))
    assert list((work.with_name("another") / "m").iterdir()) == []


def test_a_private_repository_is_fetched_once(place: Place, work: Path) -> None:
    secret = place.make("secret.git", {"README.md": "hidden\n"})
    for number in range(3):
        place.contents.checkout(secret, work.with_name(f"w{number}"))
    assert sum(request.startswith("POST") for request in place.server.requests) == 3  # files, refs, history
