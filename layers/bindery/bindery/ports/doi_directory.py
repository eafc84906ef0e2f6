"""The DOI directory port."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Home:
    """Where a record lives: a provider's id, and its spec there, percent-encoded as in a link."""

    provider: str
    spec: str


class DoiDirectory(Protocol):
    """Knows where records live.

    home: of the record that a DOI names (bare, `doi:...` or an address, percent-encoded or not). Raises BadSpec if it is no DOI,
        or its record is on no host that is known here; RepositoryNotFound if nobody registered it; HostLimited, HostUnreachable,
        ForbiddenAddress, BadAddress.
    """

    def home(self, spec: str) -> Home: ...
