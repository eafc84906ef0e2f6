"""A host of repositories with branches, files and errors that a test sets."""

from dataclasses import dataclass, field

from bindery.domain.errors import BadSpec, BinderyError, RefNotFound, Retryable
from bindery.domain.repository import Entry, Repository, Tree
from bindery.domain.urls.pasted import PastedUrl
from bindery.ports.repository_provider import Display, Resolved

DISPLAY = Display("GitHub", "o/r", ".*", None, "repository", "o/r", url_encode=False, ref_default="HEAD")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class FakeHost:
    """The repository provider port. Names are read in any case. Specs that end in HEAD name the default branch.

    heads: the commit by spec without ref. files: the contents by commit and path; None for a commit without an available tree.
    private: the names of private repositories.
    trouble: the error that resolve() and tags() raise until a test removes it. resolved: the number of calls of resolve().
    own: other commits that are on a branch or a tag. looked_up: the commits that on_branch_or_tag() was called for.
    silent: the error that on_branch_or_tag() raises until a test removes it.
    tagged: the digest of the tags. tags_listed: the number of calls of tags().
    """

    heads: dict[str, str] = field(default_factory=lambda: {"o/r": COMMIT})
    files: dict[str, dict[str, bytes] | None] = field(
        default_factory=lambda: {COMMIT: {"requirements.txt": b"numpy\n", "README.md": b"hello\n"}}
    )
    private: frozenset[str] = frozenset()
    trouble: Retryable | None = None
    note: str = ""
    tagged: str = ""
    tags_listed: int = 0
    resolved: int = 0
    own: set[str] = field(default_factory=set)
    looked_up: list[str] = field(default_factory=list)
    silent: BinderyError | None = None
    id: str = "gh"
    display: Display = DISPLAY

    def check(self, spec: str) -> str:
        owner, _, rest = spec.partition("/")
        name, _, _ = rest.partition("/")
        if not owner or not name:
            raise BadSpec(spec=spec, why="it is no repository")
        return f"https://host.example/{owner}/{name}".lower()

    def canonical(self, spec: str) -> str:
        return spec

    def detect(self, address: str) -> PastedUrl | None:
        return None

    def resolve(self, spec: str) -> Resolved:
        self.resolved += 1
        if self.trouble:
            raise self.trouble
        name, _, ref = spec.rpartition("/")
        head = self.heads.get(name.lower())
        if head is None:
            raise RefNotFound(spec=spec, ref=ref)
        url, commit = f"https://host.example/{'/'.join(spec.split('/')[:2])}", ref if ref in self.files else head
        repository = Repository(
            provider=self.id,
            spec=spec,
            ref=commit,
            resolved_spec=f"{name}/{commit}",
            clone_url=f"{url}.git",
            canonical_url=self.check(spec),
            repo_url=url,
            ref_url=f"{url}/tree/{commit}",
            on_branch_or_tag=ref == "HEAD",
            private=name in self.private,
        )
        return Resolved(repository, self.note)

    def on_branch_or_tag(self, repository: Repository) -> bool:
        self.looked_up.append(repository.ref)
        if self.silent:
            raise self.silent
        return repository.ref in self.own

    def tree(self, repository: Repository) -> Tree | None:
        files = self.files[repository.ref]
        if files is None:
            return None
        return Tree(repository.ref, {path: Entry(path, 0o100644, f"{text!r}") for path, text in files.items()})

    def read(self, repository: Repository, entry: Entry) -> bytes:
        return (self.files[repository.ref] or {})[entry.path]

    def tags(self, repository: Repository) -> str:
        self.tags_listed += 1
        if self.trouble:
            raise self.trouble
        return self.tagged
