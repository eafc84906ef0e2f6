"""DOIs: the spellings that people use, and a client that finds the pages of DOIs."""

import re
from contextlib import suppress
from typing import Final, Self
from urllib.parse import quote

from pydantic import BaseModel

from bindery.adapters.git.refs import check_length, decoded, shown
from bindery.adapters.hosts.host_parts import HostParts
from bindery.adapters.hosts.records.rest_api import RecordApi, time_of
from bindery.adapters.http.address_rules import parsed
from bindery.adapters.http.budget import TimeLimit
from bindery.adapters.http.client import GuardedClient, final_url
from bindery.adapters.http.rate_limits import LONGEST_WAIT_ELSEWHERE
from bindery.domain.errors import BadSpec, HostLimited, RecordNotFound
from bindery.ports.clock import Clock

# Without empty segments, segments of dots only, and characters that need quoting: DOIs of records have no such parts.
DOI: Final = re.compile(r"10\.[0-9]{4,9}(?:\.[0-9]+)*(?:/[A-Za-z0-9(][A-Za-z0-9._;():+~@-]*)+")
PREFIX: Final = re.compile(r"(?:https?://(?:dx\.|www\.)?doi\.org/|doi:\s*|info:doi/)", re.IGNORECASE)


def plain(spec: str) -> str:
    """Return the decoded spec without trailing slashes. Raises BadSpec."""
    check_length(spec)
    return decoded(spec, spec).rstrip("/")


def doi_in(text: str) -> str | None:
    """Return the DOI in its spelling in the text, or None if the text is not a DOI.

    The text may be bare (`10.5281/zenodo.1`), `doi:...` or `https://doi.org/...`.
    """
    bare = text[match.end() :] if (match := PREFIX.match(text)) else text
    return bare if DOI.fullmatch(bare) else None


def doi_of(spec: str) -> str:
    """Return the DOI of a spec. Raises BadSpec."""
    doi = doi_in(plain(spec))
    if doi is None:
        raise BadSpec(spec=shown(spec), why="it is not a DOI such as 10.5281/zenodo.3242074")
    return doi


def doi_page(doi: str) -> str:
    """Return the address of a DOI's page, the same for all spellings: DOIs are case-insensitive."""
    return f"https://doi.org/{doi.lower()}"


class _Data(BaseModel):
    value: object


class _Value(BaseModel):
    type: str
    data: _Data


class _Handle(BaseModel):
    values: list[_Value] = []


class Dois:
    """Client for the proxy of the DOI system (www.doi.org/the-identifier/resources/factsheets/doi-resolution-documentation).

    url: address of the proxy. Raises, besides the guard's errors: RecordNotFound, HostLimited, HostUnreachable.
    """

    def __init__(self, client: GuardedClient, clock: Clock, url: str) -> None:
        self._client = client
        self._clock = clock
        self._api = RecordApi(client, clock)
        self.url = url.rstrip("/")
        self.host = parsed(self.url).host

    @classmethod
    def configured(cls, parts: HostParts) -> Self:
        return cls(parts.client, parts.clock, parts.settings.doi_url)

    def target(self, doi: str, within: TimeLimit | None = None) -> str:
        """Return the address that a DOI is registered with. Sends one request.

        The address is checked like all addresses: raises BadAddress.
        """
        page = doi_page(doi)
        handle = self._api.get(_Handle, f"{self.url}/api/handles/{quote(doi, safe='/')}?type=URL", page, within)
        for value in handle.values:
            if value.type == "URL" and isinstance(value.data.value, str):
                parsed(value.data.value)
                return value.data.value
        raise RecordNotFound(url=page)

    def landing(self, target: str, within: TimeLimit | None = None) -> str:
        """Return the address where a browser ends that follows a registered address. Sends one request, plus redirects."""
        seconds = time_of(within)
        self._client.rate_limits.check(target, self._clock.now())
        with self._client.exchange(target, seconds=seconds), self._client.stream("GET", target, {}) as response:
            url, now = final_url(response, target), self._clock.now()
            with suppress(HostLimited):  # stored for the next request; this one needs the address, not a body
                self._client.rate_limits.record_response(
                    url, response.status, response.headers, now, longest=LONGEST_WAIT_ELSEWHERE
                )
            return url
