"""Pages that are no repositories although their addresses look like it. The spelling of the address decides; no request is sent."""

import re
from typing import Final

from bindery.domain.urls.pasted import Place

FORGES: Final = frozenset(
    {"github.com", "gitlab.com", "bitbucket.org", "codeberg.org", "gist.github.com", "huggingface.co"}
)
OWNER: Final = "it is the page of a person or a group; open one of their repositories and take its address"
NO_LAUNCH: Final = "nothing can be launched from there; put the files into a git repository, or publish them with a DOI"
HUB: Final = "it is a page of somebody's running session; take the address of the repository that it was launched from"
PATTERNS: Final = (
    (
        r"(.+\.)?figshare\.com/(.+/)?collections/.*",
        "it is a collection of records; open one of them and take its address",
    ),
    (r"(.+\.)?figshare\.com/(authors|projects|search|browse|account)\b.*", "it shows no single record; open one"),
    (
        r"hdl\.handle\.net/.*",
        "it is a handle; open it and take the address, or better the DOI, of the page that it leads to",
    ),
    (r"zenodo\.org/badge/.*", "it is a badge's address; open it and take the DOI of the record that it leads to"),
    (
        r"(sandbox\.)?zenodo\.org/(communities|search|account|me|uploads|user)\b.*",
        "it shows no single record; open one",
    ),
    (r"[^/]+/(.+/)?dataset\.xhtml", "its dataset has no DOI, and records are launched by theirs"),
    (
        r"huggingface\.co/(collections|papers|docs|blog|chat|organizations|settings|posts|learn|spaces)(/[^/]+)?",
        "it shows no repository; open a model or a dataset",
    ),
    (r"huggingface\.co/(models|datasets)(/[^/]+)?", "it shows no single repository; open one"),
    (
        r"(github|gitlab)\.com/(search|explore|topics|marketplace|settings|orgs|groups|users|dashboard|-|help|features|collections)(/.*)?",
        OWNER,
    ),
    (
        r"(osf\.io|(www\.)?kaggle\.com|colab\.research\.google\.com|drive\.google\.com|(www\.)?dropbox\.com|mybinder\.org)/.*",
        NO_LAUNCH,
    ),
    (r"[^/]+/(.+/)?hub/.*", HUB),
    (r"[^/]+/(.+/)?user/[^/]+/(.+/)?(lab|tree|notebooks|doc|rstudio)(/.*)?", HUB),
)


def why_no_repository(url: str) -> str:
    """Return the reason why the page at this address is no repository, and advice, for a sentence; empty if no pattern matches."""
    place = Place.of(url)
    if place is None:
        return ""
    host = place.host.removeprefix("www.")
    if len(place.steps) < 2 and host in FORGES:
        return OWNER
    path = f"{host}/{'/'.join(place.steps)}"
    return next((why for pattern, why in PATTERNS if re.fullmatch(pattern, path, re.IGNORECASE)), "")
