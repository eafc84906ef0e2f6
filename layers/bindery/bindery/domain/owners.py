"""Owners of repositories. Limits also apply to the launches of all repositories of one owner together."""

import hashlib
from urllib.parse import urlsplit

from bindery.domain.repository import Repository

WITH_OWNERS = frozenset({"gh", "gist", "gl", "git"})
"""Providers whose repositories' addresses begin with the owner's address. A published record is its own owner."""
LONGEST = 300
"""Limit in bytes for an owner's address that is stored unchanged. The address is part of keys, whose length is limited."""
FOREIGN = " (commits of pull requests and forks)"
"""Suffix of an owner's address in the name of the second share. No address contains a space."""


def owner_of(provider: str, repo_url: str) -> str:
    """Return the owner's address, such as `https://github.com/owner`. repo_url: the repository's address for people."""
    address = repo_url
    if provider in WITH_OWNERS:
        parts = urlsplit(repo_url)
        address = f"{parts.scheme}://{parts.netloc}/{parts.path.strip('/').partition('/')[0]}".lower()
    if len(address.encode("utf-8", "surrogatepass")) <= LONGEST:
        return address
    return f"{address[:80]}...{hashlib.sha256(address.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def build_share_of(repository: Repository) -> str:
    """Return the name of the share that a repository's builds are counted in: its owner's address.

    Every user of a host can create any number of commits that it serves under the owner's name. These commits have a separate share,
    like those of another owner. They do not use up the places and turns of commits on the owner's branches and tags.
    """
    owner = owner_of(repository.provider, repository.canonical_url)
    return f"{owner}{FOREIGN}" if repository.may_be_foreign else owner
