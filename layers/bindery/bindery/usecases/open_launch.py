"""Somebody clicked: the launch that the request means, new or already under way."""

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
    """Checks come in BinderHub's order. A reconnect finds its launch before anything that only a new one must pass.

    allowed_origins: sites that may launch anything here without a token of our page.
    isolated: True if sessions cannot touch this machine. Then every other site may launch public repositories.
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

    def __call__(self, asked: LaunchRequest) -> OpenedLaunch:
        self.rules().check_client(asked.client)
        if asked.last_event_id:
            return self._resume(asked)
        jti, cross_site = self.clock.random_id(), False
        if asked.build_token:
            token = self.tokens.read_build_token(asked.build_token, f"{asked.provider}/{asked.spec}")
            known = self.launches.find(launch_id(token.jti))
            if known:
                return self._again(asked, OpenedLaunch(known))
            if token.expires < self.clock.now():
                raise BadBuildToken(why="it has expired")
            jti = token.jti
        else:
            cross_site = self._is_cross_site(asked)
            if cross_site and not self.isolated:
                raise CrossSite(site=asked.origin or "another site")
        return self._open(asked, jti, cross_site)

    def _open(self, asked: LaunchRequest, jti: str, cross_site: bool) -> OpenedLaunch:
        """A new launch, counted as its client's; what is refused has no stream that would hold a place."""
        stream = self._stream_of(asked)
        rate = self.shares.take(asked.client, page=bool(asked.build_token), stream=stream)
        try:
            return OpenedLaunch(self._create(self._at_home(asked), jti, cross_site), rate=rate, stream=stream)
        except BinderyError:
            if stream:
                self.shares.close(asked.client, stream)
            raise

    def _again(self, asked: LaunchRequest, opened: OpenedLaunch) -> OpenedLaunch:
        """A launch that was counted before; only its stream is new."""
        stream = self._stream_of(asked)
        if stream:
            self.shares.resume(asked.client, stream)
        return replace(opened, stream=stream)

    def _stream_of(self, asked: LaunchRequest) -> str:
        return self.clock.random_id(4) if asked.streams else ""

    def _resume(self, asked: LaunchRequest) -> OpenedLaunch:
        launch, told = self.tokens.read_event_id(asked.last_event_id)
        known = self.launches.get(launch)
        asked = self._at_home(asked)  # last: whoever made an id up has nobody asked
        if (known.provider, known.spec) != (asked.provider, asked.spec):
            raise LaunchNotFound
        return self._again(asked, OpenedLaunch(known, told))

    def _at_home(self, asked: LaunchRequest) -> LaunchRequest:
        """A DOI asked for as such is launched from where its record lives."""
        if asked.provider != IN_LINKS:
            return asked
        home = self.dois().home(asked.spec)
        return replace(asked, provider=home.provider, spec=home.spec)

    def _is_cross_site(self, asked: LaunchRequest) -> bool:
        """True if a browser says that a page of a site outside `allowed_origins` sent the request."""
        if not {asked.origin, "*"}.isdisjoint(self.allowed_origins):
            return False
        return asked.origin not in ("", asked.own_origin) or asked.site not in ("", "none", "same-origin")

    def _create(self, asked: LaunchRequest, jti: str, cross_site: bool) -> Launch:
        provider = self.provider(asked.provider)
        repo_url = provider.check(asked.spec)
        name = f"{asked.provider}/{provider.canonical(asked.spec)}"
        self.rules().check_spec(asked.spec, name)
        now = self.clock.now()
        client = self._client(asked, name, now)
        launch = Launch(
            id=launch_id(jti),
            provider=asked.provider,
            spec=asked.spec,
            name=name,
            repo_url=repo_url,
            owner=self.clock.random_id(),
            launch_host=asked.launch_host,
            created_at=now,
            stage_since=now,
            deadline=now + self.launch_seconds,
            build_only=asked.build_only,
            client=client,
            cross_site=cross_site,
        )
        created, new = self.launches.create(launch)
        if new:
            self.queue.send(ResolveRequested(launch=created.id, step=created.step))
        if new and asked.build_token and self.confirm:
            self.confirm(name)
        return created

    def _client(self, asked: LaunchRequest, name: str, now: float) -> str:
        """The client's key; empty on this machine itself. Raises TooManySessions, before anything is done for one that has too many."""
        if is_own_machine(asked.client):
            return ""
        keys = self.shares.clients.keys(asked.client, now)
        if not asked.build_only:
            self.quotas.check_client(keys, self.rules().limits(name))
        return keys.now
