"""The owner of a repository, who may have many: what their launches take together is limited, too."""

import hashlib
from urllib.parse import urlsplit

WITH_OWNERS = frozenset({"gh", "gist", "gl", "git"})
"""Providers whose repositories' addresses begin with their owner's. A published record stands for itself."""
LONGEST = 300
"""Characters of an owner's address that is stored as it is; a part of keys, which may not be long."""


def owner_of(provider: str, repo_url: str) -> str:
    """Return the owner's address, such as `https://github.com/owner`. repo_url: the repository's address for people."""
    address = repo_url
    if provider in WITH_OWNERS:
        parts = urlsplit(repo_url)
        address = f"{parts.scheme}://{parts.netloc}/{parts.path.strip('/').partition('/')[0]}".lower()
    if len(address.encode("utf-8", "surrogatepass")) <= LONGEST:
        return address
    return f"{address[:80]}...{hashlib.sha256(address.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
