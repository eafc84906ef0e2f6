"""The owner of a repository, who may have many: what their launches take together is limited, too."""

import hashlib
from urllib.parse import urlsplit

from bindery.domain.repository import Repository

WITH_OWNERS = frozenset({"gh", "gist", "gl", "git"})
"""Providers whose repositories' addresses begin with their owner's. A published record stands for itself."""
LONGEST = 300
"""Characters of an owner's address that is stored as it is; a part of keys, which may not be long."""
FOREIGN = " (commits of pull requests and forks)"
"""Follows an owner's address in the name of the second share. No address has a space."""


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

    Strangers can make any number of commits that a host serves under the owner's name. Those have a share for themselves, as if they
    were another owner's, so that they take neither places nor turns from commits on the owner's branches and tags.
    """
    owner = owner_of(repository.provider, repository.canonical_url)
    return f"{owner}{FOREIGN}" if repository.may_be_foreign else owner
