"""The DOI directory port."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

IN_LINKS: Final = "doi"
"""What stands in links where others have a provider."""


@dataclass(frozen=True)
class Home:
    """Where a record lives: a provider's id, and its spec there, percent-encoded as in a link."""

    provider: str
    spec: str


class DoiDirectory(Protocol):
    """Knows where records live.

    home: of the record that a DOI names (bare, `doi:...` or an address, percent-encoded or not). Raises BadSpec if it is no DOI,
        or its record is on no host that is known here; RepositoryNotFound if nobody registered it; HostLimited, HostUnreachable,
        ForbiddenAddress, BadAddress. Answers within about ten seconds. before_asking: called before anybody outside is asked,
        which happens once in a while for each DOI; what it raises is raised.
    """

    def home(self, spec: str, before_asking: Callable[[], object] = ...) -> Home: ...
