"""Git links to servers that other providers know. Every address of such a server leads to one server."""

from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from bindery.adapters.clock import SystemClock
from bindery.adapters.hosts.git import GitProvider
from bindery.adapters.http.budget import system_resolver
from bindery.adapters.http.client import GuardedClient
from bindery.domain.errors import BinderyError
from bindery.domain.owners import build_share_of
from tests.serving.git_http import GitServer, make_repository

HOMES = ("https://github.com", "https://www.forge.example/git/", "http://plain.example:8080")


def asked_for(url: str) -> tuple[str, int]:
    """Return the host and the port to which the request for a link's repository goes. No host name resolves here."""
    places: list[tuple[str, int]] = []

    def resolver(host: str, port: int, *_: object) -> list[Any]:
        places.append((host, port))
        raise OSError

    client = GuardedClient(["plain.example:8080"], resolver=resolver)
    with suppress(BinderyError):
        GitProvider(client, SystemClock(), any_case=HOMES).resolve(f"{quote(url, safe='')}/HEAD")
    return places[0]


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://github.com/O/r", ("github.com", 443)),
        ("http://github.com/o/r", ("github.com", 443)),
        ("http://WWW.github.com.:80//o/r.git", ("github.com", 443)),
        ("https://github.com:8443/o/r", ("github.com", 8443)),
        ("http://www.git.example/o/r", ("www.git.example", 80)),
        ("http://forge.example/GIT/o/r", ("www.forge.example", 443)),
        ("http://forge.example/other/o/r", ("forge.example", 80)),
        ("http://www.plain.example:8080/o/r", ("plain.example", 8080)),
    ],
)
def test_a_repository_is_requested_at_the_address_of_its_canonical_name(url: str, place: tuple[str, int]) -> None:
    assert asked_for(url) == place


def test_all_addresses_of_a_server_lead_to_one_repository_with_one_owner(tmp_path: Path) -> None:
    commit = make_repository(tmp_path / "O" / "r", {"x": "y"})
    (tmp_path / "o").symlink_to("O")
    with GitServer(tmp_path) as server:
        home = f"http://forge.example:{server.port}"
        hosts = {"forge.example": "127.0.0.1"}
        client = GuardedClient(
            [home.partition("://")[2]], resolver=lambda host, *rest: system_resolver(hosts[host], *rest)
        )
        git = GitProvider(client, SystemClock(), any_case=[home])
        links = [
            f"http://{name}:{server.port}/O/r" for name in ("forge.example", "www.forge.example", "WWW.Forge.example.")
        ]
        repositories = [git.resolve(f"{quote(link, safe='')}/HEAD").repository for link in (*links, f"{home}/o/r")]
        client.close()
    assert {each.ref for each in repositories} == {commit}
    assert {each.canonical_url for each in repositories} == {f"{home}/o/r"}
    assert {build_share_of(each) for each in repositories} == {f"{home}/o"}
    assert [each.clone_url for each in repositories] == [f"{home}/O/r"] * 3 + [f"{home}/o/r"]
