"""The operator's rules: clients, repositories, quotas."""

import pytest

from bindery.domain.access_policy import Limits, Rules, SpecRule
from bindery.domain.errors import ClientBanned, SpecBanned


@pytest.mark.parametrize(
    "client", ["203.0.113.1", "203.0.113.255", "::ffff:203.0.113.7", "2001:db8::1", "2001:db8:0:1::"]
)
def test_a_client_in_a_banned_network_is_refused(client: str) -> None:
    with pytest.raises(ClientBanned):
        Rules(banned_networks=("203.0.113.0/24", "2001:db8::/32")).check_client(client)


@pytest.mark.parametrize("client", ["203.0.114.1", "::1", "2001:db9::1", "unknown", "", "fe80::1%eth0"])
def test_clients_in_other_networks_are_served(client: str) -> None:
    Rules(banned_networks=("203.0.113.0/24", "2001:db8::/32")).check_client(client)


def test_a_network_with_host_bits_is_accepted() -> None:
    with pytest.raises(ClientBanned):
        Rules(banned_networks=("203.0.113.9/24",)).check_client("203.0.113.1")


def test_a_refusal_names_the_spec_as_written_in_the_link() -> None:
    with pytest.raises(SpecBanned) as caught:
        Rules(banned_specs=("^gh/evil/r",)).check_spec("%65vil/R/HEAD", "gh/evil/r/HEAD")
    assert caught.value.facts == {"spec": "%65vil/R/HEAD"}


def test_only_the_canonical_name_is_compared() -> None:
    """A link that looks like an allowed one only until its address is made canonical is refused."""
    rules = Rules(allowed_specs=("^git/https://forge.example/good/", r"^git/http%3A%2F%2Fforge.example%2Fgood%2F"))
    for link in ("http%3A%2F%2Fforge.example%2Fgood%2F..%2Fevil/HEAD", "https%3A%2F%2Fforge.example%2Fgood%2F/HEAD"):
        with pytest.raises(SpecBanned):
            rules.check_spec(link, "git/https://forge.example/evil/HEAD")


def test_an_allow_list_applies_to_the_providers_that_it_names() -> None:
    rules = Rules(allowed_specs=("^gh/acme/",))
    rules.check_spec("acme/r/HEAD", "gh/acme/r/HEAD")
    for name in ("gl/acme/r/HEAD", "gist/acme/0123456789abcdef", "git/https://gh/acme/r/HEAD", ""):
        with pytest.raises(SpecBanned):
            rules.check_spec("acme/r/HEAD", name)


def test_an_allow_list_whose_entries_all_expired_allows_nothing() -> None:
    with pytest.raises(SpecBanned):
        Rules(only_allowed=True).check_spec("o/r/HEAD", "gh/o/r/HEAD")


def test_a_ban_overrides_an_allow_rule() -> None:
    rules = Rules(allowed_specs=("^gh/good/",), banned_specs=("^gh/good/bad/",))
    rules.check_spec("good/r/HEAD", "gh/good/r/HEAD")
    with pytest.raises(SpecBanned):
        rules.check_spec("good/bad/HEAD", "gh/good/bad/HEAD")


def test_without_rules_everything_is_allowed_without_limits() -> None:
    Rules().check_spec("o/r/HEAD", "gh/o/r/HEAD")
    assert Rules().limits("gh/o/r/HEAD") == Limits(None, None)


def test_the_first_rule_that_matches_sets_the_quota() -> None:
    rules = Rules(
        total=200,
        per_repository=100,
        favoured_quota=150,
        favoured=("^gh/good/.*",),
        spec_rules=(
            SpecRule("^gh/good/tiny/.*", 5),
            SpecRule("^(gh|gl)/good/.*", 50),
            SpecRule("^gh/.*/none/.*", 0),
        ),
    )
    assert rules.limits("gh/good/tiny/HEAD") == Limits(200, 5)
    assert rules.limits("gh/Good/r/HEAD") == Limits(200, 50)
    assert rules.limits("gl/good/r/HEAD") == Limits(200, 50)
    assert rules.limits("gh/o/none/HEAD") == Limits(200, 0)
    assert rules.limits("gist/good/r/HEAD") == Limits(200, 100)


def test_favoured_repositories_have_their_own_quota() -> None:
    rules = Rules(per_repository=100, favoured_quota=150, favoured=("^gh/good/.*",))
    assert rules.limits("gh/good/r/HEAD").per_repository == 150
    assert rules.limits("gh/o/r/HEAD").per_repository == 100
    assert Rules(per_repository=100, favoured=("^gh/good/.*",)).limits("gh/good/r/HEAD").per_repository == 100
