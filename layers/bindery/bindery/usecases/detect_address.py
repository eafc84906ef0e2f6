"""Somebody pastes an address: what it asks for, in the words of links."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from bindery.domain.errors import BadRef, BadSpec, NotARepository, UnknownAddress, UnknownDoi
from bindery.domain.links import plain_path, plain_spec
from bindery.domain.no_repository import why_no_repository
from bindery.domain.urls.notebook_viewers import unwrapped
from bindery.domain.urls.pasted import Kind, PastedUrl, doi_of, plain_address, query_of, without_words
from bindery.ports.repository_provider import Display, RepositoryProvider

LINK: Final = re.compile(r"(/[^/]+)?/v2/([a-z0-9]+)/(.+)")
"""Any Binder's, such as mybinder.org's; some are one step below their host."""
OLDEST_LINK: Final = re.compile(r"/repo/([^/]+/[^/]+)/?(.*)")
OLDEST_HOST: Final = "mybinder.org"
GITHUB_PAGE: Final = re.compile(
    r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+/(tree|blob|raw|blame|edit|commit|commits|releases|pull)/\S+"
)
SPACE: Final = re.compile(r"\s")


@dataclass(frozen=True)
class DetectAddress:
    """Links of any Binder, then what each provider recognises; what only looks like an address of git comes last. Asks nobody."""

    providers: Callable[[], Mapping[str, RepositoryProvider]]

    def __call__(self, text: str) -> PastedUrl:
        """Raises UnknownAddress, UnknownDoi, NotARepository; BadSpec or BadRef for a launch link that is wrong itself."""
        copied = without_words(text)
        found = self._of(copied.address)
        return self._at(found, copied.ref) if copied.ref else found

    def _of(self, text: str) -> PastedUrl:
        """What an address asks for."""
        url = plain_address(text) or self._page_of_github(text)
        if url is None:
            raise UnknownAddress
        found, inner = self._linked(url), url
        if found is None:
            inner = unwrapped(url)
            found = self._recognised(inner) or (self._linked(inner) if inner != url else None)
        if (found is None or not found.sure) and (why := why_no_repository(inner)):
            raise NotARepository(why=why)
        if found is None:
            doi = doi_of(url)
            raise UnknownDoi(doi=doi) if doi else UnknownAddress
        return found

    def _at(self, found: PastedUrl, ref: str) -> PastedUrl:
        """The same repository at a branch. A provider without refs has none."""
        display = self.providers()[found.provider].display
        if display.ref_default is None:
            return found
        spec = f"{quote(found.repo, safe='' if display.url_encode else '/')}/{quote(ref, safe='/')}"
        self.providers()[found.provider].check(spec)
        return replace(found, spec=spec, ref=ref, path="")

    def _page_of_github(self, text: str) -> str | None:
        """The address of a page of GitHub that was copied without its host, such as `o/r/tree/dev`."""
        github = self.providers().get("gh")
        if github is None or not GITHUB_PAGE.fullmatch(text.strip()):
            return None
        return github.check("o/r/HEAD").removesuffix("o/r") + text.strip()

    def _linked(self, url: str) -> PastedUrl | None:
        """What a launch link leads to."""
        parts = urlsplit(url)
        way = plain_path(parts.path)
        oldest = OLDEST_LINK.fullmatch(way) if parts.hostname == OLDEST_HOST else None
        if oldest:
            return self._link("gh", f"{oldest[1]}/master", unquote(oldest[2]), Kind.PAGE)
        link = LINK.fullmatch(way)
        if link is None:
            return None
        query = query_of(url)
        file = query.get("labpath") or query.get("filepath") or ""
        path, kind = (file, Kind.FILE) if file else (query.get("urlpath", ""), Kind.PAGE)
        spec = plain_spec(link[2], link[3])
        if link[2] in self.providers():
            return self._link(link[2], spec, path.lstrip("/"), kind if path else Kind.FILE)
        if link[1]:  # a repository may be called v2
            return None
        raise UnknownAddress

    def _link(self, name: str, spec: str, path: str, kind: Kind) -> PastedUrl:
        provider = self.providers()[name]
        provider.check(spec)
        repo, ref = _split(provider.display, spec)
        return PastedUrl(name, repo, spec, ref, path, kind)

    def _recognised(self, url: str) -> PastedUrl | None:
        guess = None
        for provider in self.providers().values():
            found = provider.detect(url)
            if found is None or not _fits(provider, found.spec):
                continue
            if not found.sure and SPACE.search(unquote(found.repo)):  # a mistake, or text around an address
                continue
            if found.sure:
                return found
            guess = guess or found
        return guess


def _fits(provider: RepositoryProvider, spec: str) -> bool:
    try:
        provider.check(spec)
    except (BadSpec, BadRef):
        return False
    return True


def _split(display: Display, spec: str) -> tuple[str, str]:
    """A link's spec as a repository and a ref, as forms show them."""
    if display.ref_default is None:
        return unquote(spec), ""
    steps = spec.split("/")
    count = 1 if display.url_encode else 2
    repo, ref = "/".join(steps[:count]), "/".join(steps[count:])
    return unquote(repo), unquote(ref) or display.ref_default
