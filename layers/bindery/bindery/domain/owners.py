"""The owner of a repository, who may have many: what their launches take together is limited, too."""

from urllib.parse import urlsplit

WITH_OWNERS = frozenset({"gh", "gist", "gl", "git"})
"""Providers whose repositories' addresses begin with their owner's. A published record stands for itself."""


def owner_of(provider: str, repo_url: str) -> str:
    """Return the owner's address, such as `https://github.com/owner`. repo_url: the repository's address for people."""
    if provider not in WITH_OWNERS:
        return repo_url
    parts = urlsplit(repo_url)
    return f"{parts.scheme}://{parts.netloc}/{parts.path.strip('/').partition('/')[0]}".lower()
