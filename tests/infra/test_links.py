"""Tests of links between the project's documents. Each file and each anchor exists."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LISTED = subprocess.run(
    ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False
).stdout.split()
PAGES = [ROOT / name for name in LISTED] or sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("infra/**/*.md"), *ROOT.glob(".github/*.md")]
)


def prose(page: Path) -> str:
    """Return the page without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub and GitLab give to the page's headings."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def leads_nowhere(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    there = (page.parent / name).resolve() if name else page
    return not there.exists() or bool(anchor and anchor not in anchors(there))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_an_existing_file_and_heading(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", prose(page))
    assert [link for link in links if leads_nowhere(page, link)] == []


def test_the_readme_links_every_page_of_the_documents() -> None:
    linked = set(re.findall(r"\]\(([^)#]+\.md)\)", (ROOT / "README.md").read_text()))
    pages = {f"infra/docs/{page.name}" for page in (ROOT / "infra" / "docs").glob("*.md")}
    assert pages - linked == set()
