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
from tests.fakes.in_memory_system import ASKED, OWN_ORIGIN, Small


@pytest.fixture
def small() -> Small:
    """Provide a system with the usual limits."""
    return Small()


def test_a_click_creates_one_launch_and_one_resolve_message(small: Small) -> None:
    launch = small.open()
    assert [sent.message for sent in small.queue.sent] == [ResolveRequested(launch=launch.id, step=0)]
    assert launch.deadline == small.clock.now() + 1200
    assert launch.repo_url == "https://host.example/o/r"


def test_checks_have_the_order_of_binderhub() -> None:
    """The request has every fault. Each time its first fault is corrected, the next one is reported."""
    small = Small(ban_networks="203.0.113.0/24", banned_specs=("^gh/bad/.*",), rate_limit=1)
    small.system.open_launch(replace(ASKED, client="198.51.100.7"))
    all_wrong = replace(ASKED, provider="nowhere", spec="bad/r/HEAD", build_token="forged")
    steps = [
        (all_wrong, ClientBanned),
        (replace(all_wrong, client="198.51.100.7"), BadBuildToken),
        (replace(all_wrong, client="198.51.100.7", build_token=""), RateLimited),
        (replace(all_wrong, client="198.51.100.8", build_token=""), UnknownProvider),
        (replace(all_wrong, client="198.51.100.9", build_token="", provider="gh"), SpecBanned),
    ]
    for request, error in steps:
        with pytest.raises(error):
            small.system.open_launch(request)
    assert len(small.queue.sent) == 1


def test_an_invalid_spec_is_reported_before_bans_are_checked(small: Small) -> None:
    with pytest.raises(BadSpec):
        small.open("nothing")


def test_a_launch_with_a_token_is_not_rate_limited() -> None:
    small = Small(rate_limit=1)
    small.open()
    assert small.open(build_token=small.token())
    with pytest.raises(RateLimited):
        small.open()


def test_a_counted_launch_returns_its_remaining_rate(small: Small) -> None:
    rates = [small.system.open_launch(ASKED).rate for _ in range(2)]
    assert [(rate.limit, rate.remaining) for rate in rates if rate] == [(10, 9), (10, 8)]
    assert small.system.open_launch(replace(ASKED, build_token=small.token())).rate is None


def test_the_same_token_leads_to_the_same_launch_even_after_its_expiry(small: Small) -> None:
    token = small.token()
    first = small.open(build_token=token)
    small.clock.advance(86400)
    assert small.open(build_token=token).id == first.id
    assert len(small.queue.sent) == 1


def test_an_expired_token_creates_no_launch(small: Small) -> None:
    token = small.token(seconds=300)
    small.clock.advance(301)
    with pytest.raises(BadBuildToken):
        small.open(build_token=token)
    assert small.queue.sent == []


def test_a_token_is_valid_for_its_own_repository_only(small: Small) -> None:
    with pytest.raises(BadBuildToken):
        small.open("o/other/HEAD", build_token=small.token("o/r/HEAD"))


def test_an_event_id_resumes_its_launch_at_its_cursor(small: Small) -> None:
    launch = small.open()
    event_id = small.system.tokens.event_id(launch.id, "3.1.17")
    opened = small.system.open_launch(replace(ASKED, last_event_id=event_id))
    assert (opened.launch.id, opened.told, opened.rate) == (launch.id, "3.1.17", None)
    assert len(small.queue.sent) == 1


def test_an_event_id_takes_precedence_over_the_token(small: Small) -> None:
    launch = small.open(build_token=small.token())
    event_id = small.system.tokens.event_id(launch.id, "1.0.")
    request = replace(ASKED, last_event_id=event_id, build_token=small.token())
    assert small.system.open_launch(request).launch.id == launch.id


@pytest.mark.parametrize("forged", ["x", "a:b:c", "launch:1.0.:AAAA", ":::", "\ud800:1:\ud800", "x" * 20000])
def test_a_forged_event_id_is_refused(small: Small, forged: str) -> None:
    small.open()
    with pytest.raises(BadBuildToken):
        small.system.open_launch(replace(ASKED, last_event_id=forged))


def test_an_event_id_signed_by_another_secret_is_refused(small: Small) -> None:
    launch = small.open()
    forged = Tokens("another secret that is 32 characters long").event_id(launch.id, "1.0.")
    with pytest.raises(BadBuildToken):
        small.system.open_launch(replace(ASKED, last_event_id=forged))


def test_an_event_id_of_another_repository_finds_no_launch(small: Small) -> None:
    launch = small.open()
    event_id = small.system.tokens.event_id(launch.id, "1.0.")
    with pytest.raises(LaunchNotFound):
        small.system.open_launch(replace(ASKED, spec="o/other/HEAD", last_event_id=event_id))


def test_an_event_id_of_a_deleted_launch_finds_none(small: Small) -> None:
    event_id = small.system.tokens.event_id("gone", "1.0.")
    with pytest.raises(LaunchNotFound):
        small.system.open_launch(replace(ASKED, last_event_id=event_id))


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
    small = Small(isolated=False)
    with pytest.raises(CrossSite):
        small.system.open_launch(replace(ASKED, origin=origin, site=site))
    assert small.queue.sent == []


@pytest.mark.parametrize(("origin", "site"), [("", ""), ("", "none"), ("", "same-origin"), (OWN_ORIGIN, "same-origin")])
def test_our_own_page_and_clients_without_a_browser_may_launch(origin: str, site: str) -> None:
    small = Small(isolated=False)
    assert small.system.open_launch(replace(ASKED, origin=origin, site=site))


def test_listed_sites_and_build_tokens_may_launch() -> None:
    small = Small(isolated=False, allowed_origins="https://book.example")
    assert small.system.open_launch(replace(ASKED, origin="https://book.example", site="cross-site"))
    assert small.system.open_launch(
        replace(ASKED, origin="https://other.example", site="cross-site", build_token=small.token())
    )


def test_with_isolated_sessions_every_site_may_launch(small: Small) -> None:
    assert small.system.open_launch(replace(ASKED, origin="https://evil.example", site="cross-site"))


def test_a_cross_site_request_is_not_counted_against_the_visitor() -> None:
    small = Small(isolated=False, rate_limit=1)
    with pytest.raises(CrossSite):
        small.system.open_launch(replace(ASKED, origin="https://evil.example"))
    assert small.open()


DOI = replace(ASKED, provider="doi", spec="10.1/x")


def with_doi(small: Small) -> Small:
    small.system.ports.homes["10.1/x"] = Home("gh", "o/r/HEAD")  # type: ignore[attr-defined] # an attribute of the fake
    return small


def test_a_doi_is_launched_at_its_record_host() -> None:
    small = with_doi(Small())
    launch = small.system.open_launch(DOI).launch
    assert (launch.provider, launch.spec, launch.repo_url) == ("gh", "o/r/HEAD", "https://host.example/o/r")


def test_a_doi_is_counted_once_and_looked_up_after_all_checks() -> None:
    small = with_doi(Small(rate_limit=2, banned_specs=("^gh/bad/.*",)))
    rates = [small.system.open_launch(DOI).rate for _ in range(2)]
    assert [rate and rate.remaining for rate in rates] == [1, 0]
    with pytest.raises(RateLimited):
        small.system.open_launch(replace(DOI, spec="10.1/unasked"))
    small.system.ports.homes["10.1/bad"] = Home("gh", "bad/r/HEAD")  # type: ignore[attr-defined] # an attribute of the fake
    with pytest.raises(SpecBanned):
        small.system.open_launch(replace(DOI, spec="10.1/bad", client="198.51.100.9"))


def test_a_foreign_page_causes_no_doi_lookup() -> None:
    small = with_doi(Small(isolated=False))
    with pytest.raises(CrossSite):
        small.system.open_launch(replace(DOI, site="cross-site"))
    assert small.system.ports.known_homes == set()  # type: ignore[attr-defined] # an attribute of the fake


def test_a_forged_event_id_causes_no_doi_lookup() -> None:
    small = with_doi(Small())
    for made_up in ("rubbish", small.system.tokens.event_id("no-launch", "1.0.")):
        with pytest.raises((BadBuildToken, LaunchNotFound)):
            small.system.open_launch(replace(DOI, last_event_id=made_up))
    assert small.system.ports.known_homes == set()  # type: ignore[attr-defined] # an attribute of the fake


def test_a_reconnect_to_a_doi_finds_its_launch() -> None:
    small = with_doi(Small())
    launch = small.system.open_launch(DOI).launch
    event = small.system.tokens.event_id(launch.id, "1.0.")
    opened = small.system.open_launch(replace(DOI, last_event_id=event))
    assert (opened.launch.id, opened.told) == (launch.id, "1.0.")
    small.system.ports.homes["10.1/y"] = Home("gh", "o/other/HEAD")  # type: ignore[attr-defined] # an attribute of the fake
    with pytest.raises(LaunchNotFound):
        small.system.open_launch(replace(DOI, spec="10.1/y", last_event_id=event))
