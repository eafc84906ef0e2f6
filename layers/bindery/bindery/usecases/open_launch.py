"""Open a launch for a request: a new launch, or one under way."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from bindery.domain.access_policy import Rules
from bindery.domain.clients import is_own_machine
from bindery.domain.errors import BadBuildToken, BinderyError, CrossSite, LaunchNotFound
from bindery.domain.launch import Launch
from bindery.domain.launch_request import LaunchRequest, OpenedLaunch
from bindery.domain.messages import ResolveRequested
from bindery.domain.tokens import Tokens, launch_id
from bindery.ports.clock import Clock
from bindery.ports.doi_directory import IN_LINKS, DoiDirectory
from bindery.ports.queue import Queue
from bindery.ports.repository_provider import RepositoryProvider
from bindery.state.client_shares import ClientShares
from bindery.state.launches import Launches
from bindery.state.quotas import Quotas


@dataclass(frozen=True)
class OpenLaunch:
    """Opener of launches. Checks have BinderHub's order. A reconnect finds its launch before the checks for new launches.

    allowed_origins: sites that may launch here without a token of our page.
    isolated: True if sessions cannot touch this machine. Then all other sites may launch public repositories.
    confirm: remembers a provider with a canonical spec that was launched from our page. None with isolated sessions.
    """

    launches: Launches
    queue: Queue
    tokens: Tokens
    shares: ClientShares
    quotas: Quotas
    rules: Callable[[], Rules]
    provider: Callable[[str], RepositoryProvider]
    dois: Callable[[], DoiDirectory]
    clock: Clock
    launch_seconds: float
    allowed_origins: tuple[str, ...]
    isolated: bool
    confirm: Callable[[str], object] | None

    def __call__(self, request: LaunchRequest) -> OpenedLaunch:
        self.rules().check_client(request.client)
        if request.last_event_id:
            return self._resume(request)
        jti, cross_site = self.clock.random_id(), False
        if request.build_token:
            token = self.tokens.read_build_token(request.build_token, f"{request.provider}/{request.spec}")
            launch = self.launches.find(launch_id(token.jti))
            if launch:
                return self._again(request, OpenedLaunch(launch))
            if token.expires < self.clock.now():
                raise BadBuildToken(why="it has expired")
            jti = token.jti
        else:
            cross_site = self._is_cross_site(request)
            if cross_site and not self.isolated:
                raise CrossSite(site=request.origin or "another site")
        return self._open(request, jti, cross_site)

    def _open(self, request: LaunchRequest, jti: str, cross_site: bool) -> OpenedLaunch:
        """Create a launch and count it for its client. A refused launch releases its stream's place."""
        stream = self._stream_of(request)
        rate = self.shares.take(request.client, page=bool(request.build_token), stream=stream)
        try:
            return OpenedLaunch(self._create(self._at_home(request), jti, cross_site), rate=rate, stream=stream)
        except BinderyError:
            if stream:
                self.shares.close(request.client, stream)
            raise

    def _again(self, request: LaunchRequest, opened: OpenedLaunch) -> OpenedLaunch:
        """Return a launch that was counted before, with a new stream."""
        stream = self._stream_of(request)
        if stream:
            self.shares.resume(request.client, stream)
        return replace(opened, stream=stream)

    def _stream_of(self, request: LaunchRequest) -> str:
        return self.clock.random_id(4) if request.streams else ""

    def _resume(self, request: LaunchRequest) -> OpenedLaunch:
        launch, cursor = self.tokens.read_event_id(request.last_event_id)
        record = self.launches.get(launch)
        request = self._at_home(request)  # after the id is checked: an invented id causes no request to a host
        if (record.provider, record.spec) != (request.provider, request.spec):
            raise LaunchNotFound
        return self._again(request, OpenedLaunch(record, cursor))

    def _at_home(self, request: LaunchRequest) -> LaunchRequest:
        """Return the request with a DOI replaced by the repository that holds its record."""
        if request.provider != IN_LINKS:
            return request
        home = self.dois().home(request.spec)
        return replace(request, provider=home.provider, spec=home.spec)

    def _is_cross_site(self, request: LaunchRequest) -> bool:
        """Return True if a browser says that a page of a site outside `allowed_origins` sent the request."""
        if not {request.origin, "*"}.isdisjoint(self.allowed_origins):
            return False
        return request.origin not in ("", request.own_origin) or request.site not in ("", "none", "same-origin")

    def _create(self, request: LaunchRequest, jti: str, cross_site: bool) -> Launch:
        provider = self.provider(request.provider)
        repo_url = provider.check(request.spec)
        name = f"{request.provider}/{provider.canonical(request.spec)}"
        self.rules().check_spec(request.spec, name)
        now = self.clock.now()
        client = self._client(request, name, now)
        launch = Launch(
            id=launch_id(jti),
            provider=request.provider,
            spec=request.spec,
            name=name,
            repo_url=repo_url,
            owner=self.clock.random_id(),
            launch_host=request.launch_host,
            created_at=now,
            stage_since=now,
            deadline=now + self.launch_seconds,
            build_only=request.build_only,
            client=client,
            cross_site=cross_site,
        )
        created, new = self.launches.create(launch)
        if new:
            self.queue.send(ResolveRequested(launch=created.id, step=created.step))
        if new and request.build_token and self.confirm:
            self.confirm(name)
        return created

    def _client(self, request: LaunchRequest, name: str, now: float) -> str:
        """Return the client's key; empty for this machine itself. Raises TooManySessions, before any work for a client at its limit."""
        if is_own_machine(request.client):
            return ""
        keys = self.shares.clients.keys(request.client, now)
        if not request.build_only:
            self.quotas.check_client(keys, self.rules().limits(name))
        return keys.now
