"""Layer cache in the registry: reuses layers of an earlier build of the same repository on machines that keep none."""

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
    """Return the name under which layers are kept: 40 hex digits, one name for each repository.

    A commit gets a name of its own unless it is known to be on a branch or tag of the repository (it may be a pull request's or a
    fork's). Thus layers from an untrusted commit are never used for the repository.
    """
    name = repository.canonical_url
    source = name if repository.on_branch_or_tag else f"{name} {repository.ref}"
    return hashlib.sha256(source.encode()).hexdigest()[:40]


def cache_tag(repository: Repository) -> str:
    """Return the registry tag of a repository's layers."""
    return f"cache-{namespace(repository)}"


@dataclass(frozen=True)
class LayerCache:
    """Layer cache of one repository. Its failures do not fail a build: without it, a build only takes longer."""

    tool: ContainerTool
    registry: Registry
    runner: Runner
    desk: Desk
    tag: str

    def fetch(self, folder: Path) -> list[str]:
        """Pull the cached layers. Return options for the build command.

        The pull happens before the build, with a login that is removed afterwards: during a build, a Dockerfile could use the login
        to pull any image.
        """
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
        """Push the layers for the next build. Called while the login is on disk."""
        if self.tool.keeps_layers:
            return
        with contextlib.suppress(TimeOver, RoomOver):  # the image itself is in the registry by now
            for command in self.tool.push(image, self.registry, self.tag, self.desk):
                self.runner.run(command, folder, quiet=True)
