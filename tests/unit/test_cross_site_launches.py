"""The rule that pages of other sites launch public repositories only."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from bindery.domain.failure import Failure
from bindery.domain.launch import Launch, Stage
from bindery.settings import Settings
from bindery.web.api.launches import Caller
from bindery.web.base_url import Own
from tests.fakes.in_memory_system import OWN_ORIGIN, REQUEST, InMemorySystem

EVIL = "https://evil.example"
BOOK = "https://book.example"
PRIVATE = {
    "BINDERY_BUILDER": "container",
    "BINDERY_LAUNCHER": "kubernetes",
    "BINDERY_REGISTRY": "https://quay.io/my-org/",
    "BINDERY_GITHUB_TOKEN": "ghp_token",
    "BINDERY_PRIVATE_REPOSITORIES": "gh/o/r",
}


def with_private(**settings: object) -> InMemorySystem:
    system = InMemorySystem(isolated=True, **settings)
    system.host.private = frozenset({"o/r"})
    return system


def outcome(system: InMemorySystem, launch: Launch) -> Launch:
    """Return the launch after every step that can be taken, including its build."""
    system.pump()
    if system.builds.running():
        system.build()
        system.pump()
    return system.launch(launch)


@pytest.mark.parametrize(
    ("origin", "site"),
    [(EVIL, "cross-site"), (EVIL, ""), ("", "cross-site"), ("", "same-site"), ("null", ""), (OWN_ORIGIN, "cross-site")],
)
def test_a_page_of_another_site_gets_no_private_repository(origin: str, site: str) -> None:
    system = with_private()
    launch = system.bindery.open_launch(replace(REQUEST, origin=origin, site=site)).launch
    ended = outcome(system, launch)
    assert ended.stage is Stage.FAILED
    assert ended.failure == Failure(kind="RepositoryNotFound", facts={"url": "https://host.example/o/r"})
    assert not system.builds.started
    assert not ended.session


@pytest.mark.parametrize("build_only", [True, False])
def test_a_private_image_is_neither_built_nor_shown_for_a_page_of_another_site(build_only: bool) -> None:
    system = with_private()
    system.ready()
    request = replace(REQUEST, origin=EVIL, site="cross-site", build_only=build_only)
    ended = outcome(system, system.bindery.open_launch(request).launch)
    assert (ended.stage, ended.image) == (Stage.FAILED, "")


@pytest.mark.parametrize(("origin", "site"), [("", ""), ("", "none"), (OWN_ORIGIN, "same-origin")])
def test_our_own_page_and_clients_without_a_browser_get_a_private_repository(origin: str, site: str) -> None:
    system = with_private()
    launch = system.bindery.open_launch(replace(REQUEST, origin=origin, site=site)).launch
    assert outcome(system, launch).stage is Stage.READY


def test_a_listed_site_and_a_page_token_get_a_private_repository() -> None:
    system = with_private(allowed_origins=BOOK)
    for request in (
        replace(REQUEST, origin=BOOK, site="cross-site"),
        replace(REQUEST, origin=EVIL, site="cross-site", build_token=system.token()),
    ):
        assert outcome(system, system.bindery.open_launch(request).launch).stage is Stage.READY


def test_a_page_of_another_site_gets_public_repositories() -> None:
    system = InMemorySystem()
    launch = system.bindery.open_launch(replace(REQUEST, origin=EVIL, site="cross-site")).launch
    assert outcome(system, launch).stage is Stage.READY


def test_a_page_of_another_site_gets_no_repository_of_the_private_network() -> None:
    system = InMemorySystem(allowed_private_hosts="host.example")
    launch = system.bindery.open_launch(replace(REQUEST, origin=EVIL, site="cross-site")).launch
    ended = outcome(system, launch)
    assert ended.failure == Failure(kind="RepositoryNotFound", facts={"url": "https://host.example/o/r"})
    for request in (REQUEST, replace(REQUEST, origin=EVIL, site="cross-site", build_token=system.token())):
        assert outcome(system, system.bindery.open_launch(request).launch).stage is Stage.READY


def test_a_retry_of_a_cross_site_launch_gets_no_private_repository() -> None:
    system = InMemorySystem()
    launch = system.bindery.open_launch(replace(REQUEST, origin=EVIL, site="cross-site")).launch
    system.host.private = frozenset({"o/r"})  # made private after the click
    assert outcome(system, launch).stage is Stage.FAILED


def test_the_api_gives_a_page_of_another_site_no_private_repository() -> None:
    system = with_private()
    headers = {"origin": EVIL, "sec-fetch-site": "cross-site", "content-type": "application/json"}
    answer = system.bindery.api.create(
        Caller("203.0.113.7", "https", headers), '{"provider": "gh", "spec": "o/r/HEAD"}'
    )
    system.pump()
    assert system.launch(str(answer.body["id"])).stage is Stage.FAILED


def test_another_site_can_neither_read_nor_frame_a_page_with_a_build_token() -> None:
    system = with_private(cors_allow_origin=BOOK)
    page = system.bindery.site.launch(
        "/v2/gh/o/r/HEAD", {}, Own("http://bindery.example", ""), "cross-site", "203.0.113.7"
    )
    assert page.status == 200
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert not [name for name in page.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    ("variables", "header"),
    [
        ({}, "*"),
        ({"BINDERY_ALLOWED_ORIGINS": BOOK}, "*"),
        ({"BINDERY_CORS_ALLOW_ORIGIN": "listed"}, ""),
        ({"BINDERY_CORS_ALLOW_ORIGIN": "listed", "BINDERY_ALLOWED_ORIGINS": "*"}, "*"),
        ({"BINDERY_CORS_ALLOW_ORIGIN": BOOK}, BOOK),
        ({"BINDERY_CORS_ALLOW_ORIGIN": "none"}, ""),
        (PRIVATE, ""),
        ({**PRIVATE, "BINDERY_CORS_ALLOW_ORIGIN": BOOK}, BOOK),
        ({**PRIVATE, "BINDERY_CORS_ALLOW_ORIGIN": "none"}, ""),
    ],
)
def test_with_private_repositories_no_site_may_read_by_default(variables: dict[str, str], header: str) -> None:
    assert Settings.read(variables).allow_origin == header


@pytest.mark.parametrize(
    ("variables", "origins"),
    [
        ({}, ()),
        (PRIVATE, (BOOK, EVIL)),
        ({"BINDERY_CORS_ALLOW_ORIGIN": "listed"}, (BOOK, EVIL)),
        ({**PRIVATE, "BINDERY_CORS_ALLOW_ORIGIN": "none"}, ()),
        ({**PRIVATE, "BINDERY_CORS_ALLOW_ORIGIN": BOOK}, ()),
    ],
)
def test_with_private_repositories_listed_sites_may_read(variables: dict[str, str], origins: tuple[str, ...]) -> None:
    listed = {"BINDERY_ALLOWED_ORIGINS": f"{BOOK}, {EVIL}"}
    assert Settings.read({**variables, **listed}).reading_origins == origins


@pytest.mark.parametrize("name", ["CORS_ALLOW_ORIGIN", "ALLOWED_ORIGINS"])
def test_allowing_every_site_with_private_repositories_is_refused_at_the_start(name: str) -> None:
    assert Settings.read({f"BINDERY_{name}": "*"})
    with pytest.raises(ValidationError, match="name the sites"):
        Settings.read({**PRIVATE, f"BINDERY_{name}": "*"})
