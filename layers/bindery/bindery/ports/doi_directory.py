"""The DOI directory port."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

IN_LINKS: Final = "doi"
"""The first part of links to DOIs. Other links have their provider's id there."""


@dataclass(frozen=True)
class Home:
    """Location of a record: a provider's id, and the record's spec at this provider, percent-encoded as in a link."""

    provider: str
    spec: str


class DoiDirectory(Protocol):
    """Directory of the locations of published records.

    home: returns the location of the record that a DOI names (bare, `doi:...` or an address, percent-encoded or not). Returns within
        about ten seconds. Raises BadSpec if the text is no DOI, or if its record is on no host that Bindery knows. Raises
        RepositoryNotFound if the DOI is not registered. Raises HostLimited, HostUnreachable, ForbiddenAddress, BadAddress.
    before_asking: is called before a request leaves this machine, which happens once in a while for each DOI. Its errors are passed on.
    """

    def home(self, spec: str, before_asking: Callable[[], object] = ...) -> Home: ...
