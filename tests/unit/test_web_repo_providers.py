"""The list behind `/api/repoproviders`."""

from dataclasses import replace

from bindery.web.api.providers import repo_providers
from tests.serving.displays import GIT, GITHUB


def test_a_provider_has_the_description_of_binderhub() -> None:
    assert repo_providers([("gh", GITHUB)]) == [
        {
            "displayName": "GitHub",
            "id": "gh",
            "spec": {"validateRegex": GITHUB.regex},
            "detect": {"regex": GITHUB.detect},
            "repo": {"label": GITHUB.repo_label, "placeholder": GITHUB.repo_placeholder, "urlEncode": False},
            "ref": {"enabled": True, "default": "HEAD"},
        }
    ]


def test_missing_parts_of_a_provider_are_omitted() -> None:
    (git, doi) = repo_providers([("git", GIT), ("zenodo", replace(GIT, ref_default=None))])
    assert "detect" not in git
    assert doi["ref"] == {"enabled": False}


def test_the_order_is_preserved() -> None:
    assert [provider["id"] for provider in repo_providers([("git", GIT), ("gh", GITHUB)])] == ["git", "gh"]
