"""Pages that show content of another site: notebook viewers, editors, raw files, launch links of other services."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from bindery.domain.urls.pasted import Place, plain_address, query_of

GITHUB: Final = "https://github.com"
GIST: Final = "https://gist.github.com"
DEEPEST: Final = 3


def unwrapped(url: str) -> str:
    """Return the address of the content that a viewer shows, also through nested viewers; any other address unchanged."""
    for _ in range(DEEPEST):
        inner = _inner(url)
        if inner is None:
            break
        url = inner
    return url


def _inner(url: str) -> str | None:
    place = Place.of(url)
    if place is None:
        return None
    if place.steps[-1:] == ("git-pull",) and (repository := query_of(url).get("repo")):
        return _pulled(repository, query_of(url).get("branch", ""))
    parameter = QUERIES.get(place.host)
    if parameter and (inner := query_of(url).get(parameter)):
        return plain_address(inner)
    shows = SHOWS.get(place.host)
    return shows(place.steps) if shows else None


def _pulled(repository: str, branch: str) -> str | None:
    """Return the address of the repository and branch in an nbgitpuller link."""
    url = plain_address(repository)
    return f"{url.rstrip('/').removesuffix('.git')}/tree/{quote(branch)}" if url and branch else url


def _viewer(steps: tuple[str, ...]) -> str | None:
    """Return the content's address for nbviewer and sites with its paths.

    Such paths are `/github/o/r/blob/...`, `/gist/user/id/file` and `/urls/host/...`.
    """
    match steps:
        case ("github", _, _, *_):
            return _joined(GITHUB, steps[1:])
        case ("gist", user, gist, *rest):
            return _joined(GIST, (user, gist, "raw", *rest) if rest else (user, gist))
        case ("url" | "urls" as scheme, host, *rest):
            return plain_address(_joined("http://" + host if scheme == "url" else "https://" + host, tuple(rest)))
    return None


def _raw_file(steps: tuple[str, ...]) -> str | None:
    return _joined(GITHUB, (*steps[:2], "blob", *steps[2:])) if len(steps) > 2 else None


def _editor(steps: tuple[str, ...]) -> str | None:
    return _joined(GITHUB, steps)


def _raw_gist(steps: tuple[str, ...]) -> str | None:
    return _joined(GIST, steps)


def _imported(steps: tuple[str, ...]) -> str | None:
    return _viewer(steps[1:]) if steps[:1] == ("import",) else None


def _joined(start: str, steps: tuple[str, ...]) -> str:
    return "/".join((start, *(quote(step, safe="") for step in steps)))


SHOWS: Mapping[str, Callable[[tuple[str, ...]], str | None]] = MappingProxyType(
    {
        "nbviewer.org": _viewer,
        "nbviewer.jupyter.org": _viewer,
        "nbviewer.ipython.org": _viewer,
        "colab.research.google.com": _viewer,
        "vscode.dev": _viewer,
        "studiolab.sagemaker.aws": _imported,
        "github.dev": _editor,
        "raw.githubusercontent.com": _raw_file,
        "raw.github.com": _raw_file,
        "gist.githubusercontent.com": _raw_gist,
    }
)
QUERIES: Mapping[str, str] = MappingProxyType(
    {
        "www.kaggle.com": "src",
        "kaggle.com": "src",
        "deepnote.com": "url",
        "app.deepnote.com": "url",
        "beta.deepnote.com": "url",
    }
)
