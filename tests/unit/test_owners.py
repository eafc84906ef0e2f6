"""The owner of a repository: the first part of its address, in one spelling and of limited length."""

import pytest

from bindery.domain.owners import LONGEST, owner_of


@pytest.mark.parametrize(
    ("provider", "repo_url", "owner"),
    [
        ("gh", "https://github.com/Owner/name", "https://github.com/owner"),
        ("gl", "https://gitlab.com/group/below/project", "https://gitlab.com/group"),
        ("gist", "https://gist.github.com/user/0123", "https://gist.github.com/user"),
        ("git", "https://git.example:8443/~me/x.git", "https://git.example:8443/~me"),
        ("git", "https://git.example", "https://git.example/"),
        ("zenodo", "https://doi.org/10.5281/zenodo.1", "https://doi.org/10.5281/zenodo.1"),
    ],
)
def test_the_owner_is_the_first_part_of_an_address(provider: str, repo_url: str, owner: str) -> None:
    assert owner_of(provider, repo_url) == owner


def test_a_long_owner_is_shortened_and_stays_unique() -> None:
    one, two = (owner_of("git", f"https://git.example/{'a' * 3000}{last}/x") for last in "12")
    assert one != two
    assert max(len(one), len(two)) < LONGEST
