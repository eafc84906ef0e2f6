"""The host of all repositories. A commit is pushed to it every now and then."""

from dataclasses import dataclass

from bindery.domain.errors import HostLimited, HostUnreachable, RefNotFound
from bindery.domain.repository import Entry, Repository, Tree
from bindery.domain.urls.pasted import PastedUrl
from bindery.ports.repository_provider import Display, Resolved
from tests.fakes.host import DISPLAY
from tests.simulation.around import Around

HOST = "github.example"
FOREIGN = 1 << 64
"""Added to the number of a commit that a stranger made from the branch's newest one. It has the same configuration files."""
COMMIT_SECONDS = 300
COMMITS_AN_ENVIRONMENT = 3


def is_own(repository: Repository) -> bool:
    """Return True if the commit is on the repository's branch, regardless of the facts that are recorded about it."""
    return int(repository.ref, 16) < FOREIGN


@dataclass
class SimProvider:
    """The repository provider port. `o/missing/HEAD` has no such ref; every five minutes there is a new commit.

    Every third commit changes the files that define the environment. pushed: commits ahead of that, made by a push.
    In each repository, HEAD is the branch's newest commit, `id` the one before, by its id, and `pull` one that a
    stranger made.
    """

    around: Around
    pushed: int = 0
    id: str = "gh"
    display: Display = DISPLAY

    def check(self, spec: str) -> str:
        return f"https://{HOST}/{spec.rpartition('/')[0]}"

    def canonical(self, spec: str) -> str:
        return spec

    def detect(self, address: str) -> PastedUrl | None:
        return None

    def resolve(self, spec: str) -> Resolved:
        self.around.before(f"host.resolve {spec}")
        self._trouble()
        name, _, ref_name = spec.rpartition("/")
        if name.endswith("missing"):
            raise RefNotFound(spec=spec, ref="HEAD")
        ref, url = f"{self._commit(ref_name):040x}", self.check(spec)
        return Resolved(
            Repository(
                provider="gh",
                spec=spec,
                ref=ref,
                resolved_spec=f"{name}/{ref}",
                clone_url=f"{url}.git",
                repo_url=url,
                ref_url=f"{url}/tree/{ref}",
                on_branch_or_tag=ref_name == "HEAD",
            )
        )

    def on_branch_or_tag(self, repository: Repository) -> bool:
        self.around.before(f"host.on_branch_or_tag {repository.ref}")
        self._trouble()
        return is_own(repository)

    def tree(self, repository: Repository) -> Tree | None:
        self.around.before(f"host.tree {repository.ref}")
        self._trouble()
        made_of = f"{int(repository.ref, 16) % FOREIGN // COMMITS_AN_ENVIRONMENT:x}"
        return Tree(repository.ref, {"requirements.txt": Entry("requirements.txt", 0o100644, made_of)})

    def read(self, repository: Repository, entry: Entry) -> bytes:
        self.around.before(f"host.read {entry.path}")
        return b"numpy\n"

    def tags(self, repository: Repository) -> str:
        self.around.before(f"host.tags {repository.ref}")
        self._trouble()
        return ""

    def _commit(self, ref_name: str) -> int:
        newest = int(self.around.elapsed // COMMIT_SECONDS) + self.pushed
        return {"HEAD": newest, "id": max(0, newest - 1), "pull": newest + FOREIGN}[ref_name]

    def _trouble(self) -> None:
        if self.around.happens("host_limits"):  # and reports it late: a caller with the same answer may have gone on
            self.around.wait(self.around.random.random() * 20)
            raise HostLimited(host=HOST, at=int(self.around.now) + 600)
        if self.around.happens("host_hangs"):
            self.around.wait(20 + self.around.random.random() * 60)
            raise HostUnreachable(host=HOST, why="no answer in time")
        self.around.trouble("host_down", HostUnreachable(host=HOST, why="no answer"))
