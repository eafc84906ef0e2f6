"""Provider `git`: any repository on an http or https server."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from urllib.parse import quote

from bindery.adapters.git.packs import BLOB, COMMIT, BrokenPack, PackLimits, TooMuch, unpacked
from bindery.adapters.git.protocol import HEADS, TAGS, GitWire, Refused, Remote, TooManyRefs, fingerprint
from bindery.adapters.git.refs import COMMIT as FULL_COMMIT
from bindery.adapters.git.refs import (
    OFTEN_MISSING,
    Found,
    check_length,
    check_ref,
    chosen,
    decoded,
    names_of,
    shown,
)
from bindery.adapters.git.refused_apis import RefusedApis
from bindery.adapters.git.tree import NotListed, listing
from bindery.adapters.hosts.host_parts import HostParts
from bindery.adapters.hosts.page_urls import pasted, shown_page
from bindery.adapters.http.address_rules import (
    canonical,
    check_one_spelling,
    lower_ascii,
    parsed,
    without_git,
    without_user,
)
from bindery.adapters.http.budget import MB
from bindery.adapters.http.client import GuardedClient
from bindery.adapters.http.single_flight import SingleFlight
from bindery.domain.errors import (
    BadAddress,
    BadSpec,
    HostUnreachable,
    RefNotFound,
    RepositoryEmpty,
    RepositoryNotFound,
    RepositoryTooLarge,
)
from bindery.domain.repository import Entry, Repository, Tree
from bindery.domain.urls.pasted import DOI_RESOLVERS, PastedUrl, Place
from bindery.ports.clock import Clock
from bindery.ports.repository_provider import Display, RepositoryProvider, Resolved

FILE_LIMIT: Final = PackLimits(objects=4, object_bytes=MB, total_bytes=2 * MB)
TREE_LIMIT: Final = PackLimits(objects=100_000, object_bytes=8 * MB, total_bytes=64 * MB)
COMMIT_LIMIT: Final = PackLimits(objects=100, object_bytes=MB, total_bytes=4 * MB)
REMEMBERED, REMEMBERED_SECONDS = 256, 300
UNENCODED: Final = ("https:", "http:")
LONGEST_SHOWN: Final = 200
PLAIN: Final = "/~!$&'()*+,;=:@"


class GitProvider:
    """Provider for git repositories. Specs: percent-encoded clone address, `/`, then HEAD, a branch, a tag or a full commit id.

    Servers must speak version 2 of git's protocol. seconds: maximum time for one exchange. refused: addresses of APIs.
    any_case: addresses of servers that ignore the case of repository names; other servers distinguish case. A link to such a server with
    the other scheme, or with or without `www.`, leads to the configured address.
    """

    id = "git"
    display = Display(
        name="Git repository",
        example="https%3A%2F%2Fgit.example.org%2Fowner%2Frepository/HEAD",
        regex=r"[^/]+/.+",
        detect=None,
        repo_label="Arbitrary git repository URL",
        repo_placeholder="https://git.example.com/my/repo",
        url_encode=True,
        ref_default="HEAD",
        grammar="https%3A%2F%2F.../ref",
        refs="HEAD (also used for a missing master or main), a branch, a tag, the full name of a ref, or a full commit id",
        kept=f"kind of server: {REMEMBERED_SECONDS // 60} minutes; ref: not kept",
    )

    def __init__(
        self,
        client: GuardedClient,
        clock: Clock,
        *,
        seconds: float = 15,
        refused: RefusedApis | None = None,
        any_case: Sequence[str] = (),
    ) -> None:
        self._client = client
        self._refused = refused or RefusedApis()
        self._any_case = tuple(canonical(server) for server in any_case)
        self._clock = clock
        self._wire = GitWire(client, clock)
        self._seconds = seconds
        self._remotes: dict[str, tuple[Remote, float]] = {}
        self._flights = SingleFlight[Resolved]()

    @classmethod
    def configured(cls, parts: HostParts) -> RepositoryProvider:
        settings = parts.settings
        return cls(parts.client, parts.clock, refused=RefusedApis.configured(settings), any_case=settings.git_servers)

    def check(self, spec: str) -> str:
        url, _ = self._parts(spec)
        return _page(self._canonical(url))

    def canonical(self, spec: str) -> str:
        url, ref = _parts(spec)
        return f"{self._canonical(self._at_home(url))}/{ref}"

    def _canonical(self, url: str) -> str:
        """Return the canonical spelling of an address, the same for all addresses of one repository. Its path is decoded."""
        name = canonical(url)
        return lower_ascii(without_git(name)) if self._home(url) else name

    def _home(self, url: str) -> str:
        """Return the address of the server in `any_case` that has this repository; empty for other servers."""
        place = _place(canonical(url))
        return next((home for home in self._any_case if place.startswith(_place(home))), "")

    def _at_home(self, url: str) -> str:
        """Return a repository's address with the configured scheme and host of its server.

        Requests go to this address: several links share one repository name, and the name states the source of the files and the scheme.
        """
        home = self._home(url)
        if not home:
            return url
        scheme, _, rest = home.partition("://")
        _, slash, path = url.partition("://")[2].partition("/")
        return f"{scheme}://{rest.partition('/')[0]}{slash}{path}"

    def detect(self, address: str) -> PastedUrl | None:
        """Return the repository of a forge's page, or the address itself as a repository.

        The result is a guess: the provider of a known host takes precedence.
        """
        place = Place.of(address)
        if place is None or not place.steps or place.host in DOI_RESOLVERS:
            return None
        for count in range(1, len(place.steps)):
            if page := shown_page(place.steps[count:]):
                return pasted(self, place.upto(count), page, sure=False)
        return pasted(self, place.upto(len(place.steps)), sure=False)

    def _parts(self, spec: str) -> tuple[str, str]:
        """Return the clone address and the ref. Raises BadSpec, BadRef."""
        url, ref = _parts(spec)
        url = self._at_home(url)
        try:
            self._refused.check(url)
        except BadAddress as error:
            raise BadSpec(spec=url, why=error.facts["why"]) from None
        return url, ref

    def resolve(self, spec: str) -> Resolved:
        url, ref = self._parts(spec)
        return self._flights.run(spec, lambda: self._resolve(spec, url, ref), parsed(url).host)

    def _resolve(self, spec: str, url: str, ref: str) -> Resolved:
        with self._client.exchange(url, seconds=self._seconds, max_bytes=16 * MB, check_redirect=self._refused.check):
            result = self._find(url, ref)
            if result is None and self._wire.is_empty(self._remote(url)):
                raise RepositoryEmpty(url=_page(canonical(url)))
        if result is None:
            raise RefNotFound(spec=_page(canonical(url)), ref=ref)
        repository = Repository(
            provider=self.id,
            spec=spec,
            ref=result.commit,
            resolved_spec=f"{quote(url, safe='')}/{result.commit}",
            clone_url=url,
            canonical_url=_page(self._canonical(url)),
            repo_url=url,
            ref_url=url,
            on_branch_or_tag=result.own,
        )
        return Resolved(repository, result.note)

    def on_branch_or_tag(self, repository: Repository) -> bool:
        """Return True if a branch or a tag points to the commit now. The histories of branches are not searched."""
        url = repository.clone_url
        try:
            with self._client.exchange(
                url, seconds=self._seconds, max_bytes=16 * MB, check_redirect=self._refused.check
            ):
                return self._wire.is_tip(self._remote(url), repository.ref)
        except (RepositoryNotFound, RepositoryTooLarge, BadAddress):
            return False

    def tree(self, repository: Repository) -> Tree | None:
        url = repository.clone_url
        try:
            with self._client.exchange(
                url, seconds=self._seconds, max_bytes=32 * MB, check_redirect=self._refused.check
            ):
                remote = self._remote(url)
                if not remote.filters:
                    return None
                pack = self._fetch(remote, repository.ref, depth=1, filtered="blob:none")
            return listing(unpacked(pack, TREE_LIMIT), repository.ref)
        except (RepositoryTooLarge, TooMuch, NotListed, BrokenPack):
            return None
        except Refused:
            raise RefNotFound(spec=repository.spec, ref=repository.ref) from None

    def read(self, repository: Repository, entry: Entry) -> bytes:
        url = repository.clone_url
        try:
            with self._client.exchange(
                url, seconds=self._seconds, max_bytes=2 * MB, check_redirect=self._refused.check
            ):
                pack = self._fetch(self._remote(url), entry.id)
            kind, content = unpacked(pack, FILE_LIMIT)[entry.id.encode()]
        except (RepositoryTooLarge, TooMuch):
            raise RepositoryTooLarge(url=f"{repository.repo_url} ({shown(entry.path)})", limit="1 MB") from None
        except Refused:
            raise RefNotFound(spec=repository.spec, ref=repository.ref) from None
        except (BrokenPack, KeyError):
            raise HostUnreachable(host=parsed(url).host, why="its answer is not what was requested") from None
        if kind != BLOB:
            raise RefNotFound(spec=repository.spec, ref=entry.id)
        return content

    def tags(self, repository: Repository) -> str:
        """Return a digest of the tags. It is empty if histories cannot be fetched, since builds see no tags in this case."""
        url = repository.clone_url
        try:
            with self._client.exchange(
                url, seconds=self._seconds, max_bytes=16 * MB, check_redirect=self._refused.check
            ):
                remote = self._remote(url)
                return fingerprint(self._wire.listed(remote, ("HEAD", HEADS, TAGS))) if remote.filters else ""
        except (TooManyRefs, RepositoryTooLarge):
            return ""

    def _find(self, url: str, ref: str) -> Found | None:
        """Return the commit of the ref, or None if the repository has no such ref.

        A request to a server that was discovered lately skips the discovery, which saves half of the requests. If the repository
        has moved, it is discovered again.
        """
        entry = self._remotes.get(url)
        if entry and self._clock.now() - entry[1] < REMEMBERED_SECONDS:
            with suppress(RepositoryNotFound):
                if result := self._look_up(entry[0], ref):
                    return result
        return self._look_up(self._discover(url), ref)

    def _look_up(self, remote: Remote, ref: str) -> Found | None:
        return self._find_commit(remote, ref) if FULL_COMMIT.fullmatch(ref) else self._find_name(remote, ref)

    def _discover(self, url: str) -> Remote:
        remote = self._wire.discover(url)
        if len(self._remotes) >= REMEMBERED:
            self._remotes.clear()
        self._remotes[url] = remote, self._clock.now()
        return remote

    def _remote(self, url: str) -> Remote:
        entry = self._remotes.get(url)
        return entry[0] if entry else self._discover(url)

    def _find_name(self, remote: Remote, ref: str) -> Found | None:
        names = (*names_of(ref), *(("HEAD",) if ref in OFTEN_MISSING else ()))
        return chosen(ref, self._wire.refs(remote, names))

    def _find_commit(self, remote: Remote, ref: str) -> Found | None:
        """Return the commit if the server has it, else None.

        A server without filters would send the commit's whole content; the start of its pack is enough in this case.
        """
        try:
            if not remote.filters:
                with self._wire.pack(remote, ref, depth=1) as pieces:
                    return Found(ref) if next(pieces, b"") else None
            objects = unpacked(self._fetch(remote, ref, depth=1, filtered="tree:0"), COMMIT_LIMIT)
        except (Refused, BrokenPack, TooMuch):
            return None
        return Found(ref) if objects.get(ref.encode(), (0, b""))[0] == COMMIT else None

    def _fetch(self, remote: Remote, want: str, *, depth: int = 0, filtered: str = "") -> bytes:
        with self._wire.pack(remote, want, depth=depth, filtered=filtered) as pieces:
            return b"".join(pieces)


def _parts(spec: str) -> tuple[str, str]:
    """Return the clone address and the ref. Raises BadSpec, BadRef."""
    check_length(spec)
    quoted, slash, ref = spec.partition("/")
    if quoted.lower() in UNENCODED:
        plain = without_user(spec)
        raise BadSpec(spec=plain, why=f"its address has to be percent-encoded, as in /v2/git/{_encoded(plain)}")
    url = decoded(quoted, spec).rstrip("/")
    if not slash or not url:
        raise BadSpec(spec=shown(spec), why="it is not <percent-encoded clone address>/<ref>")
    try:
        parsed(url)
        check_one_spelling(url)
    except BadAddress as error:
        raise BadSpec(spec=error.facts["url"], why=error.facts["why"]) from None
    if "?" in url or "#" in url:
        raise BadSpec(spec=shown(spec), why="a clone address has no ? or #")
    return url, check_ref(decoded(ref, spec))


def _encoded(spec: str) -> str:
    """Return the probably intended spec for a spec with a clone address that is not percent-encoded.

    The ref follows `.git`; without `.git`, the ref is the last segment.
    """
    scheme, _, rest = spec.partition(":")
    steps = [step for step in rest.split("/") if step]
    upto = next((at for at, step in enumerate(steps, 1) if step.endswith(".git")), max(len(steps) - 1, 2))
    address = f"{scheme.lower()}://{'/'.join(steps[:upto])}"
    suggestion = f"{quote(address, safe='')}/{'/'.join(steps[upto:]) or 'HEAD'}"
    return suggestion if len(steps) > 1 and len(suggestion) <= LONGEST_SHOWN else GitProvider.display.example


def _page(name: str) -> str:
    """Return a canonical address as a valid URL for people. The decoded path is percent-encoded again."""
    scheme, _, rest = name.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host}{slash}{quote(path, safe=PLAIN)}"


def _place(name: str) -> str:
    """Return the host without `www.`, and the path: both schemes and both host names lead to the same server."""
    return lower_ascii(f"{name.partition('://')[2].removeprefix('www.')}/")
