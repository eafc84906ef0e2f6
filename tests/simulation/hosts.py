"""The host of all repositories, pushed to every now and then."""

from dataclasses import dataclass

from bindery.domain.errors import HostUnreachable, RefNotFound
from bindery.domain.repository import Entry, Repository, Tree
from bindery.ports.repository_provider import Display, Resolved
from tests.fakes.clock import FakeClock
from tests.fakes.host import DISPLAY
from tests.simulation.ports import World


@dataclass
class SimProvider:
    """The repository provider port. `o/missing/HEAD` has no such ref; every quarter of an hour there is a new commit."""

    world: World
    clock: FakeClock
    id: str = "gh"
    display: Display = DISPLAY

    def check(self, spec: str) -> str:
        return f"https://github.example/{spec.removesuffix('/HEAD')}"

    def canonical(self, spec: str) -> str:
        return spec

    def resolve(self, spec: str) -> Resolved:
        self.world.before(f"host.resolve {spec}")
        if self.world.happens("host_down"):
            raise HostUnreachable(host="github.example", why="no answer")
        name = spec.removesuffix("/HEAD")
        if name.endswith("missing"):
            raise RefNotFound(spec=spec, ref="HEAD")
        ref = f"{int(self.clock.time // 900):040x}"
        url = self.check(spec)
        return Resolved(
            Repository(
                provider="gh",
                spec=spec,
                ref=ref,
                resolved_spec=f"{name}/{ref}",
                clone_url=f"{url}.git",
                repo_url=url,
                ref_url=f"{url}/tree/{ref}",
            )
        )

    def tree(self, repository: Repository) -> Tree | None:
        self.world.before(f"host.tree {repository.ref}")
        return Tree(repository.ref, {"requirements.txt": Entry("requirements.txt", 0o100644, f"{repository.ref[-2]}0")})

    def read(self, repository: Repository, entry: Entry) -> bytes:
        self.world.before(f"host.read {entry.path}")
        return b"numpy\n"
