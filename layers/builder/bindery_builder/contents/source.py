"""Source of a commit: address and authorization."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Source:
    """Commit, its clone address, and the authorization that its host requires: a header's value, or empty."""

    url: str
    commit: str
    authorization: str = field(default="", repr=False)

    @property
    def kept_as(self) -> str:
        """Return the name in the cache.

        Private content has a separate name, so that a submodule of another repository with the same address does not find it.
        """
        return f"private {self.url}" if self.authorization else self.url
