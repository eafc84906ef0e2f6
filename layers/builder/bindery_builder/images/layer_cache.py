"""Layers of an earlier build of the same repository, by way of the registry, where the machine keeps none."""

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path

from bindery.adapters.oci_registry import Registry
from bindery.domain.errors import BuildServiceDown
from bindery.domain.repository import Repository
from bindery_builder.images.tool import ContainerTool, Desk
from bindery_builder.process.runner import RoomOver, Runner, TimeOver


def namespace(repository: Repository) -> str:
    """Return the name under which layers are kept: 40 hex digits, one for each repository.

    A commit that is not known to be the repository's own (a pull request's, a fork's) has a name for itself: a stranger's layers
    are never taken for the repository's.
    """
    name = repository.canonical_url
    source = name if repository.on_branch_or_tag else f"{name} {repository.ref}"
    return hashlib.sha256(source.encode()).hexdigest()[:40]


def cache_tag(repository: Repository) -> str:
    """Return the tag under which a registry keeps a repository's layers."""
    return f"cache-{namespace(repository)}"


@dataclass(frozen=True)
class LayerCache:
    """Nothing here fails a build: without it, a build only takes longer."""

    tool: ContainerTool
    registry: Registry
    runner: Runner
    desk: Desk
    tag: str

    def fetch(self, folder: Path) -> list[str]:
        """Words for the build. Pulled before it begins and with a login that is gone by then: during a build, whatever a
        Dockerfile names could be pulled with it."""
        if self.tool.keeps_layers:
            return []
        name = self.registry.tagged(self.tag)
        code = 1
        with contextlib.suppress(BuildServiceDown):
            self.desk.write_login(self.registry.login)
            try:
                code, _ = self.runner.run(self.tool.pull(name), folder, quiet=True)
            finally:
                self.desk.write_login("{}")
        if not code:
            self.runner.log.say("Layers of an earlier build of this repository are used where nothing has changed.")
        return self.tool.cached(name, fetched=not code)

    def keep(self, image: str, folder: Path) -> None:
        """For the next build. Called while the login is there."""
        if self.tool.keeps_layers:
            return
        with contextlib.suppress(TimeOver, RoomOver):  # the image itself is in the registry by now
            for command in self.tool.push(image, self.registry, self.tag, self.desk):
                self.runner.run(command, folder, quiet=True)
