"""Detect the repository, ref and path of a pasted address."""

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
"""A launch link of any Binder, such as mybinder.org. Some Binders are one path segment below their host."""
OLDEST_LINK: Final = re.compile(r"/repo/([^/]+/[^/]+)/?(.*)")
OLDEST_HOST: Final = "mybinder.org"
GITHUB_PAGE: Final = re.compile(
    r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+/(tree|blob|raw|blame|edit|commit|commits|releases|pull)/\S+"
)
SPACE: Final = re.compile(r"\s")


@dataclass(frozen=True)
class DetectAddress:
    """Detector for pasted addresses.

    It tries launch links first, then each provider; unsure git addresses come last. It sends no requests.
    """

    providers: Callable[[], Mapping[str, RepositoryProvider]]

    def __call__(self, text: str) -> PastedUrl:
        """Return the parts of the pasted address.

        Raises UnknownAddress, UnknownDoi, NotARepository; BadSpec or BadRef for a malformed launch link.
        """
        copied = without_words(text)
        detected = self._of(copied.address)
        return self._at(detected, copied.ref) if copied.ref else detected

    def _of(self, text: str) -> PastedUrl:
        """Return the parts of an address without a ref beside it."""
        url = plain_address(text) or self._page_of_github(text)
        if url is None:
            raise UnknownAddress
        detected, inner = self._linked(url), url
        if detected is None:
            inner = unwrapped(url)
            detected = self._recognised(inner) or (self._linked(inner) if inner != url else None)
        if (detected is None or not detected.sure) and (why := why_no_repository(inner)):
            raise NotARepository(why=why)
        if detected is None:
            doi = doi_of(url)
            raise UnknownDoi(doi=doi) if doi else UnknownAddress
        return detected

    def _at(self, detected: PastedUrl, ref: str) -> PastedUrl:
        """Return the same repository at a branch. A provider without refs ignores the branch."""
        display = self.providers()[detected.provider].display
        if display.ref_default is None:
            return detected
        spec = f"{quote(detected.repo, safe='' if display.url_encode else '/')}/{quote(ref, safe='/')}"
        self.providers()[detected.provider].check(spec)
        return replace(detected, spec=spec, ref=ref, path="")

    def _page_of_github(self, text: str) -> str | None:
        """Return the address of a GitHub page that was copied without its host, such as `o/r/tree/dev`."""
        github = self.providers().get("gh")
        if github is None or not GITHUB_PAGE.fullmatch(text.strip()):
            return None
        return github.check("o/r/HEAD").removesuffix("o/r") + text.strip()

    def _linked(self, url: str) -> PastedUrl | None:
        """Return the target of a launch link, None for other addresses."""
        parts = urlsplit(url)
        plain = plain_path(parts.path)
        oldest = OLDEST_LINK.fullmatch(plain) if parts.hostname == OLDEST_HOST else None
        if oldest:
            return self._link("gh", f"{oldest[1]}/master", unquote(oldest[2]), Kind.PAGE)
        link = LINK.fullmatch(plain)
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
            detected = provider.detect(url)
            if detected is None or not _fits(provider, detected.spec):
                continue
            if not detected.sure and SPACE.search(unquote(detected.repo)):  # a mistake, or text around an address
                continue
            if detected.sure:
                return detected
            guess = guess or detected
        return guess


def _fits(provider: RepositoryProvider, spec: str) -> bool:
    try:
        provider.check(spec)
    except (BadSpec, BadRef):
        return False
    return True


def _split(display: Display, spec: str) -> tuple[str, str]:
    """Return a link's spec as a repository and a ref, as forms show them."""
    if display.ref_default is None:
        return unquote(spec), ""
    steps = spec.split("/")
    count = 1 if display.url_encode else 2
    repo, ref = "/".join(steps[:count]), "/".join(steps[count:])
    return unquote(repo), unquote(ref) or display.ref_default
