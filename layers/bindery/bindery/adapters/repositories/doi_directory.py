"""The DOI directory port: asks the DOI system where a DOI leads, and the hosts of records whether that is theirs."""

from collections.abc import Mapping
from typing import Final

from bindery.adapters.repositories.dois import Dois, doi_of
from bindery.adapters.repositories.records import RecordHost
from bindery.adapters.repositories.refs import shown
from bindery.domain.errors import BadSpec
from bindery.ports.clock import Clock
from bindery.ports.doi_directory import Home

REMEMBERED, REMEMBERED_SECONDS = 1000, 3600
"""A DOI hardly ever moves to another host."""
WHY: Final = "it leads to {target}, which is on no host that can be launched from here"


class RegisteredDois:
    """hosts: by provider's id, asked in this order."""

    def __init__(self, dois: Dois, hosts: Mapping[str, RecordHost], clock: Clock) -> None:
        self._dois = dois
        self._hosts = hosts
        self._clock = clock
        self._known: dict[str, tuple[Home, float]] = {}

    def home(self, spec: str) -> Home:
        doi = doi_of(spec)
        known = self._known.get(doi.lower())
        if known and self._clock.now() - known[1] < REMEMBERED_SECONDS:
            return known[0]
        home = self._found(doi)
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[doi.lower()] = home, self._clock.now()
        return home

    def _found(self, doi: str) -> Home:
        target = self._dois.target(doi)
        home = self._on(doi, target)
        if home is None:
            target = self._dois.landing(target)
            home = self._on(doi, target)
        if home is None:
            raise BadSpec(spec=shown(doi), why=WHY.format(target=shown(target)))
        return home

    def _on(self, doi: str, address: str) -> Home | None:
        for name, host in self._hosts.items():
            if spec := host.spec_of(doi, address):
                return Home(name, spec)
        return None
