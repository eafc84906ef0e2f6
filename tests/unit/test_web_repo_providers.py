"""The list behind `/api/repoproviders`."""

from dataclasses import replace

from bindery.web.api.providers import repo_providers
from tests.serving.displays import GIT, GITHUB


def test_a_provider_is_described_as_binderhub_does() -> None:
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


def test_what_a_provider_lacks_is_left_out() -> None:
    (git, doi) = repo_providers([("git", GIT), ("zenodo", replace(GIT, ref_default=None))])
    assert "detect" not in git
    assert doi["ref"] == {"enabled": False}


def test_the_order_is_kept() -> None:
    assert [provider["id"] for provider in repo_providers([("git", GIT), ("gh", GITHUB)])] == ["git", "gh"]
