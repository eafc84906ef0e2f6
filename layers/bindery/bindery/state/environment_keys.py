"""Facts about commits: the environment of a commit, and whether the commit is on a branch or a tag of its repository."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from bindery.domain.environment import Identity, Scope
from bindery.domain.errors import HostLimited, HostUnreachable, Stale
from bindery.domain.repository import Repository
from bindery.ports.clock import Clock
from bindery.ports.table import Item, Table

ON_BRANCH_OR_TAG = "on-branch-or-tag"
KEPT_SECONDS = 90 * 86400
UNKNOWN_SECONDS = 300
"""Time that a commit counts as one without branch and tag. It is short because the commit may be pushed or merged."""
TAGS_SECONDS = 600
TAGS = "tags"


@dataclass(frozen=True)
class Commits:
    """Store of facts by repository, provider and ref; environment identities also by builder.

    The facts differ between providers of one repository: GitLab's API searches histories for a commit, git's protocol lists only tips.
    """

    table: Table
    clock: Clock

    def identity(self, repository: Repository, builder: str) -> Identity | None:
        """Return the stored identity for this ref and this builder; None if there is none."""
        item = self.table.get(_pk(repository), _sk(builder))
        return Identity(item.data["key"], Scope(item.data["scope"]), item.data["inputs"]) if item else None

    def keep(self, repository: Repository, builder: str, identity: Identity) -> None:
        """Store the identity. It never changes, so a conflict with another launch's write is ignored."""
        data = {"key": identity.key, "scope": identity.scope.value, "inputs": identity.inputs}
        until = self.clock.now() + KEPT_SECONDS
        try:
            self.table.put(Item(_pk(repository), _sk(builder), data, expires_at=until))
        except Stale:
            return

    def on_branch_or_tag(self, repository: Repository) -> bool | None:
        """Return the last response of the commit's host; None if it is missing or too old."""
        item = self.table.get(_pk(repository), ON_BRANCH_OR_TAG)
        return bool(item.data["found"]) if item and (item.expires_at or 0) > self.clock.now() else None

    def keep_on_branch_or_tag(self, repository: Repository, found: bool) -> None:
        """Store a positive response for KEPT_SECONDS, although the branch may move, and a negative one for UNKNOWN_SECONDS."""
        until = self.clock.now() + (KEPT_SECONDS if found else UNKNOWN_SECONDS)
        item = Item(_pk(repository), ON_BRANCH_OR_TAG, {"found": found}, expires_at=until)
        try:
            self.table.put(item)
        except Stale:
            before = self.table.get(item.pk, item.sk)
            with suppress(Stale):  # another launch has just written its response
                self.table.put(replace(item, version=before.version if before else 0))

    def tags(self, repository: Repository, ask: Callable[[], str]) -> str:
        """Return the digest of the repository's tags, at most TAGS_SECONDS old.

        ask: requests the digest from the host. If the host does not answer, the last digest is returned. Without one, the error is raised.
        """
        item, now = self.table.get(_tags_pk(repository), TAGS), self.clock.now()
        if item and item.data["at"] > now - TAGS_SECONDS:
            return str(item.data["digest"])
        try:
            digest = ask()
        except (HostUnreachable, HostLimited):
            if item is None:
                raise
            return str(item.data["digest"])
        with suppress(Stale):  # another launch stored the digest at the same time
            new = item or Item(_tags_pk(repository), TAGS)
            self.table.put(replace(new, data={"digest": digest, "at": now}, expires_at=now + KEPT_SECONDS))
        return digest


def _tags_pk(repository: Repository) -> str:
    """Return the key of the tags. All providers list tags by git's protocol, so they share one digest. Environment keys depend on it."""
    return f"tags#{hashlib.sha256(repository.canonical_url.encode()).hexdigest()[:32]}"


def _pk(repository: Repository) -> str:
    place = hashlib.sha256(repository.canonical_url.encode()).hexdigest()[:32]
    return f"commit#{repository.provider}#{place}#{repository.ref}"


def _sk(builder: str) -> str:
    return f"identity#{builder}"
