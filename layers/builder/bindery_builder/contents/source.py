"""Where a commit is fetched from."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Source:
    """A commit, its clone address, and the authorization that its host requires: a header's value, or empty."""

    url: str
    commit: str
    authorization: str = field(default="", repr=False)

    @property
    def kept_as(self) -> str:
        """The name in the cache: private content is apart, so that no other repository's submodule finds it by its address."""
        return f"private {self.url}" if self.authorization else self.url
