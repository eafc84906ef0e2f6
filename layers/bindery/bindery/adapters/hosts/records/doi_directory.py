"""Adapter for the DOI directory port. Asks the DOI system where a DOI leads, and the record hosts whether the page is theirs."""

import time
from collections.abc import Callable, Mapping
from typing import Final

from bindery.adapters.git.refs import shown
from bindery.adapters.hosts.records.answer_cache import Answer, KeptAnswers
from bindery.adapters.hosts.records.base import RecordHost
from bindery.adapters.hosts.records.dois import Dois, doi_of
from bindery.adapters.http.budget import TimeLimit
from bindery.domain.errors import BadSpec, BinderyError
from bindery.ports.clock import Clock
from bindery.ports.contents import never_stopped
from bindery.ports.doi_directory import Home
from bindery.ports.table import Table

KEPT_SECONDS: Final = 24 * 3600
"""A DOI rarely moves to another host."""
FAILED_SECONDS: Final = 60
LONGEST_SECONDS: Final = 10.0
"""A visitor waits for the page, and the timeout of API Gateway is 29 seconds."""
REMEMBERED: Final = 1000
WHY: Final = "it leads to {target}, which is on none of the hosts of records that are known here ({hosts})"


class RegisteredDois:
    """Directory of registered DOIs.

    hosts: by provider id, tried in this order. seconds: maximum time for one DOI.
    Homes are cached in the table. Failures are cached in this process for a minute: further requests for the DOI get the same error.
    """

    def __init__(
        self,
        dois: Dois,
        hosts: Mapping[str, RecordHost],
        table: Table,
        clock: Clock,
        *,
        seconds: float = LONGEST_SECONDS,
    ) -> None:
        self._dois = dois
        self._hosts = hosts
        self._clock = clock
        self._seconds = seconds
        self._homes = KeptAnswers(table, clock, f"doi#{dois.url}", Home)
        self._failed: dict[str, tuple[BinderyError, float]] = {}

    def home(self, spec: str, before_asking: Callable[[], object] = lambda: None) -> Home:
        doi = doi_of(spec)
        key = doi.lower()
        self._check_failed(key)
        cached = self._homes.known(key)
        if cached is not None:
            return cached
        before_asking()
        return self._homes.of(key, lambda: self._ask(doi))

    def _ask(self, doi: str) -> Answer[Home]:
        try:
            return Answer(self._find(doi), KEPT_SECONDS)
        except BinderyError as error:
            if len(self._failed) >= REMEMBERED:
                self._failed.clear()
            self._failed[doi.lower()] = error, self._clock.now() + FAILED_SECONDS
            raise

    def _check_failed(self, key: str) -> None:
        error, until = self._failed.get(key, (None, 0.0))
        if error is not None and self._clock.now() < until:
            raise type(error)(**error.facts)

    def _find(self, doi: str) -> Home:
        within = TimeLimit(self._dois.host, self._seconds, never_stopped, time.monotonic() + self._seconds)
        target = self._dois.target(doi, within)
        home = self._on(doi, target)
        if home is None:
            target = self._dois.landing(target, within)
            home = self._on(doi, target)
        if home is None:
            names = ", ".join(host.display.name.partition(" ")[0] for host in self._hosts.values())
            raise BadSpec(spec=shown(doi), why=WHY.format(target=shown(target), hosts=names))
        return home

    def _on(self, doi: str, address: str) -> Home | None:
        for name, host in self._hosts.items():
            if spec := host.spec_of(doi, address):
                return Home(name, spec)
        return None
