"""A visitor's click on a link: the checks, their order, and the launch that it leads to."""

from dataclasses import replace

import pytest

from bindery.domain.errors import (
    BadBuildToken,
    BadSpec,
    ClientBanned,
    CrossSite,
    LaunchNotFound,
    RateLimited,
    SpecBanned,
    UnknownProvider,
)
from bindery.domain.messages import ResolveRequested
from bindery.domain.tokens import Tokens
from bindery.ports.doi_directory import Home
from tests.fakes.in_memory_system import OWN_ORIGIN, REQUEST, InMemorySystem


@pytest.fixture
def system() -> InMemorySystem:
    """Provide a system with the usual limits."""
    return InMemorySystem()


def test_a_click_creates_one_launch_and_one_resolve_message(system: InMemorySystem) -> None:
    launch = system.open()
    assert [sent.message for sent in system.queue.sent] == [ResolveRequested(launch=launch.id, step=0)]
    assert launch.deadline == system.clock.now() + 1200
    assert launch.repo_url == "https://host.example/o/r"


def test_checks_have_the_order_of_binderhub() -> None:
    """The request has every fault. Each time its first fault is corrected, the next one is reported."""
    system = InMemorySystem(ban_networks="203.0.113.0/24", banned_specs=("^gh/bad/.*",), rate_limit=1)
    system.bindery.open_launch(replace(REQUEST, client="198.51.100.7"))
    all_wrong = replace(REQUEST, provider="nowhere", spec="bad/r/HEAD", build_token="forged")
    steps = [
        (all_wrong, ClientBanned),
        (replace(all_wrong, client="198.51.100.7"), BadBuildToken),
        (replace(all_wrong, client="198.51.100.7", build_token=""), RateLimited),
        (replace(all_wrong, client="198.51.100.8", build_token=""), UnknownProvider),
        (replace(all_wrong, client="198.51.100.9", build_token="", provider="gh"), SpecBanned),
    ]
    for request, error in steps:
        with pytest.raises(error):
            system.bindery.open_launch(request)
    assert len(system.queue.sent) == 1


def test_an_invalid_spec_is_reported_before_bans_are_checked(system: InMemorySystem) -> None:
    with pytest.raises(BadSpec):
        system.open("nothing")


def test_a_launch_with_a_token_is_not_rate_limited() -> None:
    system = InMemorySystem(rate_limit=1)
    system.open()
    assert system.open(build_token=system.token())
    with pytest.raises(RateLimited):
        system.open()


def test_a_counted_launch_returns_its_remaining_rate(system: InMemorySystem) -> None:
    rates = [system.bindery.open_launch(REQUEST).rate for _ in range(2)]
    assert [(rate.limit, rate.remaining) for rate in rates if rate] == [(10, 9), (10, 8)]
    assert system.bindery.open_launch(replace(REQUEST, build_token=system.token())).rate is None


def test_the_same_token_leads_to_the_same_launch_even_after_its_expiry(system: InMemorySystem) -> None:
    token = system.token()
    first = system.open(build_token=token)
    system.clock.advance(86400)
    assert system.open(build_token=token).id == first.id
    assert len(system.queue.sent) == 1


def test_an_expired_token_creates_no_launch(system: InMemorySystem) -> None:
    token = system.token(seconds=300)
    system.clock.advance(301)
    with pytest.raises(BadBuildToken):
        system.open(build_token=token)
    assert system.queue.sent == []


def test_a_token_is_valid_for_its_own_repository_only(system: InMemorySystem) -> None:
    with pytest.raises(BadBuildToken):
        system.open("o/other/HEAD", build_token=system.token("o/r/HEAD"))


def test_an_event_id_resumes_its_launch_at_its_cursor(system: InMemorySystem) -> None:
    launch = system.open()
    event_id = system.bindery.tokens.event_id(launch.id, "3.1.17")
    opened = system.bindery.open_launch(replace(REQUEST, last_event_id=event_id))
    assert (opened.launch.id, opened.cursor, opened.rate) == (launch.id, "3.1.17", None)
    assert len(system.queue.sent) == 1


def test_an_event_id_takes_precedence_over_the_token(system: InMemorySystem) -> None:
    launch = system.open(build_token=system.token())
    event_id = system.bindery.tokens.event_id(launch.id, "1.0.")
    request = replace(REQUEST, last_event_id=event_id, build_token=system.token())
    assert system.bindery.open_launch(request).launch.id == launch.id


@pytest.mark.parametrize("forged", ["x", "a:b:c", "launch:1.0.:AAAA", ":::", "\ud800:1:\ud800", "x" * 20000])
def test_a_forged_event_id_is_refused(system: InMemorySystem, forged: str) -> None:
    system.open()
    with pytest.raises(BadBuildToken):
        system.bindery.open_launch(replace(REQUEST, last_event_id=forged))


def test_an_event_id_signed_by_another_secret_is_refused(system: InMemorySystem) -> None:
    launch = system.open()
    forged = Tokens("another secret that is 32 characters long").event_id(launch.id, "1.0.")
    with pytest.raises(BadBuildToken):
        system.bindery.open_launch(replace(REQUEST, last_event_id=forged))


def test_an_event_id_of_another_repository_finds_no_launch(system: InMemorySystem) -> None:
    launch = system.open()
    event_id = system.bindery.tokens.event_id(launch.id, "1.0.")
    with pytest.raises(LaunchNotFound):
        system.bindery.open_launch(replace(REQUEST, spec="o/other/HEAD", last_event_id=event_id))


def test_an_event_id_of_a_deleted_launch_finds_none(system: InMemorySystem) -> None:
    event_id = system.bindery.tokens.event_id("gone", "1.0.")
    with pytest.raises(LaunchNotFound):
        system.bindery.open_launch(replace(REQUEST, last_event_id=event_id))


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        ("https://evil.example", ""),
        ("https://evil.example", "cross-site"),
        ("", "cross-site"),
        ("", "same-site"),
        ("null", ""),
        (OWN_ORIGIN, "cross-site"),
    ],
)
def test_a_page_of_another_site_starts_no_process_session(origin: str, site: str) -> None:
    system = InMemorySystem(isolated=False)
    with pytest.raises(CrossSite):
        system.bindery.open_launch(replace(REQUEST, origin=origin, site=site))
    assert system.queue.sent == []


@pytest.mark.parametrize(("origin", "site"), [("", ""), ("", "none"), ("", "same-origin"), (OWN_ORIGIN, "same-origin")])
def test_our_own_page_and_clients_without_a_browser_may_launch(origin: str, site: str) -> None:
    system = InMemorySystem(isolated=False)
    assert system.bindery.open_launch(replace(REQUEST, origin=origin, site=site))


def test_listed_sites_and_build_tokens_may_launch() -> None:
    system = InMemorySystem(isolated=False, allowed_origins="https://book.example")
    assert system.bindery.open_launch(replace(REQUEST, origin="https://book.example", site="cross-site"))
    assert system.bindery.open_launch(
        replace(REQUEST, origin="https://other.example", site="cross-site", build_token=system.token())
    )


def test_with_isolated_sessions_every_site_may_launch(system: InMemorySystem) -> None:
    assert system.bindery.open_launch(replace(REQUEST, origin="https://evil.example", site="cross-site"))


def test_a_cross_site_request_is_not_counted_against_the_visitor() -> None:
    system = InMemorySystem(isolated=False, rate_limit=1)
    with pytest.raises(CrossSite):
        system.bindery.open_launch(replace(REQUEST, origin="https://evil.example"))
    assert system.open()


DOI = replace(REQUEST, provider="doi", spec="10.1/x")


def with_doi(system: InMemorySystem) -> InMemorySystem:
    system.bindery.ports.homes["10.1/x"] = Home("gh", "o/r/HEAD")  # type: ignore[attr-defined] # an attribute of the fake
    return system


def test_a_doi_is_launched_at_its_record_host() -> None:
    system = with_doi(InMemorySystem())
    launch = system.bindery.open_launch(DOI).launch
    assert (launch.provider, launch.spec, launch.repo_url) == ("gh", "o/r/HEAD", "https://host.example/o/r")


def test_a_doi_is_counted_once_and_looked_up_after_all_checks() -> None:
    system = with_doi(InMemorySystem(rate_limit=2, banned_specs=("^gh/bad/.*",)))
    rates = [system.bindery.open_launch(DOI).rate for _ in range(2)]
    assert [rate and rate.remaining for rate in rates] == [1, 0]
    with pytest.raises(RateLimited):
        system.bindery.open_launch(replace(DOI, spec="10.1/unasked"))
    system.bindery.ports.homes["10.1/bad"] = Home("gh", "bad/r/HEAD")  # type: ignore[attr-defined] # an attribute of the fake
    with pytest.raises(SpecBanned):
        system.bindery.open_launch(replace(DOI, spec="10.1/bad", client="198.51.100.9"))


def test_a_foreign_page_causes_no_doi_lookup() -> None:
    system = with_doi(InMemorySystem(isolated=False))
    with pytest.raises(CrossSite):
        system.bindery.open_launch(replace(DOI, site="cross-site"))
    assert system.bindery.ports.known_homes == set()  # type: ignore[attr-defined] # an attribute of the fake


def test_a_forged_event_id_causes_no_doi_lookup() -> None:
    system = with_doi(InMemorySystem())
    for made_up in ("rubbish", system.bindery.tokens.event_id("no-launch", "1.0.")):
        with pytest.raises((BadBuildToken, LaunchNotFound)):
            system.bindery.open_launch(replace(DOI, last_event_id=made_up))
    assert system.bindery.ports.known_homes == set()  # type: ignore[attr-defined] # an attribute of the fake


def test_a_reconnect_to_a_doi_finds_its_launch() -> None:
    system = with_doi(InMemorySystem())
    launch = system.bindery.open_launch(DOI).launch
    event = system.bindery.tokens.event_id(launch.id, "1.0.")
    opened = system.bindery.open_launch(replace(DOI, last_event_id=event))
    assert (opened.launch.id, opened.cursor) == (launch.id, "1.0.")
    system.bindery.ports.homes["10.1/y"] = Home("gh", "o/other/HEAD")  # type: ignore[attr-defined] # an attribute of the fake
    with pytest.raises(LaunchNotFound):
        system.bindery.open_launch(replace(DOI, spec="10.1/y", last_event_id=event))
