"""The way from the address of an ended session back to the launch page that it came from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindery.domain.errors import SessionNotFound
from bindery.web.base_url import launch_path
from tests.fakes.in_memory_system import InMemorySystem


def test_a_session_leads_to_the_launch_page_of_its_link(system: InMemorySystem) -> None:
    launch = system.ready()
    assert system.bindery.site.again(f"/sessions/{launch.id}") == "/v2/gh/o/r/HEAD"


def test_a_session_of_a_private_repository_is_not_revealed(system: InMemorySystem) -> None:
    system.host.private = frozenset({"o/r"})
    launch = system.ready()
    with pytest.raises(SessionNotFound):
        system.bindery.site.again(f"/sessions/{launch.id}")


def test_a_launch_of_a_possibly_private_repository_is_not_revealed(system: InMemorySystem) -> None:
    launch = system.open("o/missing/HEAD")
    system.pump()
    assert system.launch(launch).failure
    with pytest.raises(SessionNotFound):
        system.bindery.site.again(f"/sessions/{launch.id}")


def test_the_lookup_starts_nothing(system: InMemorySystem) -> None:
    launch = system.ready()
    done = []
    system.table.before = lambda operation, _: done.append(operation)
    system.bindery.site.again(f"/sessions/{launch.id}")
    assert done == ["get"]
    assert system.take() == []


def test_only_provider_and_spec_are_revealed(system: InMemorySystem) -> None:
    launch = system.ready()
    session = system.session(launch)
    location = system.bindery.site.again(f"/sessions/{launch.id}")
    for secret in (
        session.token,
        session.owner,
        session.url,
        system.bindery.tokens.launcher_token(launch.id),
        launch.id,
    ):
        assert secret not in location


@pytest.mark.parametrize(
    "path",
    ["nobody", "", "A", "a" * 41, "a/b", "../health", "%2e%2e", "a?b", "a\n", "ä", "٣", "launch#x", "\udcff", "a b"],
)
def test_an_invalid_session_id_is_not_found(system: InMemorySystem, path: str) -> None:
    with pytest.raises(SessionNotFound):
        system.bindery.site.again(f"/sessions/{path}")


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ("https%3A%2F%2Fexample.org%2Fr/HEAD", "/v2/git/https%3A%2F%2Fexample.org%2Fr/HEAD"),
        ("o/r/a b", "/v2/git/o/r/a%20b"),
        ("o/r/x?build_token=other#y", "/v2/git/o/r/x%3Fbuild_token=other%23y"),
        ("o/r/x\r\nSet-Cookie: a=b", "/v2/git/o/r/x%0D%0ASet-Cookie:%20a=b"),
        ("o/r/\udcff", "/v2/git/o/r/%EF%BF%BD"),
        ("/evil.example/x", "/v2/git//evil.example/x"),
        ("\\evil", "/v2/git/%5Cevil"),
    ],
)
def test_a_spec_stays_within_its_path(spec: str, path: str) -> None:
    assert launch_path("git", spec) == path


@given(st.text(st.characters(), max_size=40))
def test_any_spec_makes_a_valid_header(spec: str) -> None:
    path = launch_path("git", spec)
    assert path.startswith("/v2/git/")
    assert path.isascii()
    assert path.isprintable()
    assert not set(path) & set(' ?#\\"<>')
