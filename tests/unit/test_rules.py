"""What the operator allows."""

import pytest

from bindery.domain.errors import ClientBanned, SpecBanned
from bindery.domain.rules import Limits, Rules, SpecRule


@pytest.mark.parametrize(
    "client", ["203.0.113.1", "203.0.113.255", "::ffff:203.0.113.7", "2001:db8::1", "2001:db8:0:1::"]
)
def test_a_client_in_a_banned_network_is_not_served(client: str) -> None:
    with pytest.raises(ClientBanned):
        Rules(banned_networks=("203.0.113.0/24", "2001:db8::/32")).check_client(client)


@pytest.mark.parametrize("client", ["203.0.114.1", "::1", "2001:db9::1", "unknown", "", "fe80::1%eth0"])
def test_others_are(client: str) -> None:
    Rules(banned_networks=("203.0.113.0/24", "2001:db8::/32")).check_client(client)


def test_a_network_with_host_bits_is_understood() -> None:
    with pytest.raises(ClientBanned):
        Rules(banned_networks=("203.0.113.9/24",)).check_client("203.0.113.1")


@pytest.mark.parametrize("spec", ["evil/r/HEAD", "EVIL/r/HEAD", "evil/r", "%65vil/r/HEAD", "evil%2Fr/HEAD"])
def test_a_ban_holds_in_any_case_and_however_the_spec_is_encoded(spec: str) -> None:
    with pytest.raises(SpecBanned) as caught:
        Rules(banned_specs=("evil/r.*",)).check_spec(spec, spec)
    assert caught.value.facts == {"spec": spec}


def test_patterns_hold_from_the_specs_start() -> None:
    Rules(banned_specs=("evil",)).check_spec("not-evil/r/HEAD", "not-evil/r/HEAD")


def test_a_pattern_on_the_encoded_address_holds() -> None:
    with pytest.raises(SpecBanned):
        Rules(banned_specs=("https%3A%2F%2Fevil",)).check_spec(
            "https%3a%2f%2fevil.example%2fr/HEAD", "https%3a%2f%2fevil.example%2fr/HEAD"
        )


def test_where_some_are_allowed_no_others_are() -> None:
    rules = Rules(allowed_specs=("good/.*", "^also/one/"))
    rules.check_spec("good/r/HEAD", "good/r/HEAD")
    rules.check_spec("also/one/HEAD", "also/one/HEAD")
    for spec in ("other/r/HEAD", "x/good/r", ""):
        with pytest.raises(SpecBanned):
            rules.check_spec(spec, spec)


def test_banned_beats_allowed() -> None:
    rules = Rules(allowed_specs=("good/.*",), banned_specs=("good/bad/.*",))
    rules.check_spec("good/r/HEAD", "good/r/HEAD")
    with pytest.raises(SpecBanned):
        rules.check_spec("good/bad/HEAD", "good/bad/HEAD")


def test_without_rules_everything_is_allowed_without_limits() -> None:
    Rules().check_spec("o/r/HEAD", "o/r/HEAD")
    assert Rules().limits("o/r/HEAD") == Limits(None, None)


def test_the_first_rule_that_matches_sets_the_quota() -> None:
    rules = Rules(
        total=200,
        per_repository=100,
        favoured_quota=150,
        favoured=("good/.*",),
        spec_rules=(SpecRule("good/tiny/.*", 5), SpecRule("good/.*", 50), SpecRule(".*/none/.*", 0)),
    )
    assert rules.limits("good/tiny/HEAD") == Limits(200, 5)
    assert rules.limits("Good/r/HEAD") == Limits(200, 50)
    assert rules.limits("o/none/HEAD") == Limits(200, 0)
    assert rules.limits("o/r/HEAD") == Limits(200, 100)


def test_favoured_repositories_have_a_quota_of_their_own() -> None:
    rules = Rules(per_repository=100, favoured_quota=150, favoured=("good/.*",))
    assert rules.limits("good/r/HEAD").per_repository == 150
    assert rules.limits("o/r/HEAD").per_repository == 100
    assert Rules(per_repository=100, favoured=("good/.*",)).limits("good/r/HEAD").per_repository == 100


def test_another_spelling_of_a_banned_repository_is_banned() -> None:
    with pytest.raises(SpecBanned):
        Rules(banned_specs=("evil/repo/",)).check_spec("Evil/repo.git/HEAD", "evil/repo/HEAD")


def test_a_spelling_that_means_something_allowed_is_allowed() -> None:
    Rules(allowed_specs=("https://good.example/",)).check_spec(
        "https%3A%2F%2FGOOD.example%2Fr/HEAD", "https://good.example/r/HEAD"
    )
