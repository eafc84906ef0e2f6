"""Pages and monitoring responses for GET requests: launch pages, redirects, health, versions and metrics."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from bindery import __version__
from bindery.domain.access_policy import Rules
from bindery.domain.errors import BadRequest, BinderyError, MetricsNotReady, SessionNotFound
from bindery.domain.launch import Launch
from bindery.domain.links import plain_path
from bindery.domain.tokens import Tokens
from bindery.ports.clock import Clock
from bindery.ports.doi_directory import DoiDirectory
from bindery.ports.repository_provider import Display, RepositoryProvider
from bindery.web.base_url import Own, launch_path, read_link
from bindery.web.errors.render import error_message
from bindery.web.metrics_access import MetricsAccess
from bindery.web.pages.render import LaunchLink, Page, error_page, home_page, launch_page
from bindery.web.pages.session_paths import path_in_session

TOKEN_SECONDS = 300
SESSION_ID = re.compile(r"[a-z0-9]{1,40}", re.ASCII)


@dataclass(frozen=True)
class Site:
    """Handlers of GET requests.

    count: counts a launch towards a client's limit. find_launch: returns a launch by its id, which is also its session's id.
    isolated: True if sessions cannot touch this machine. is_confirmed: True for a provider with a canonical spec that the user of
    this machine has agreed to launch before.
    checks: by service, raises if it is unhealthy. builder: its name. metrics_text: the last rendered text; None: there is no
    recent text.
    """

    providers: Callable[[], Mapping[str, RepositoryProvider]]
    provider: Callable[[str], RepositoryProvider]
    dois: Callable[[], DoiDirectory]
    count: Callable[[str], object]
    find_launch: Callable[[str], Launch | None]
    tokens: Tokens
    rules: Callable[[], Rules]
    clock: Clock
    public_url: str
    title: str
    isolated: bool
    is_confirmed: Callable[[str], bool]
    checks: Mapping[str, Callable[[], object]]
    builder: Callable[[], str]
    metrics_access: MetricsAccess
    metrics_text: Callable[[], str | None]

    def own(self, scheme: str, headers: Mapping[str, str], stage: str) -> Own:
        """Return this Bindery's address, as used in the request. scheme: of the client's own connection. headers: names in lower case."""
        return Own.of(self.public_url, scheme, headers.get("host", ""), stage)

    def home(self, own: Own) -> Page:
        return home_page(self.displays(), name=self.title, root=own.root)

    def displays(self) -> Sequence[tuple[str, Display]]:
        """Return each provider's id and display."""
        return [(name, provider.display) for name, provider in self.providers().items()]

    def launch(self, raw_path: str, query: Mapping[str, str], own: Own, site: str, client: str) -> Page:
        """Return the page of `/v2/...` with a build token, or an error page with the reason. site: `Sec-Fetch-Site`."""
        try:
            return self._launch(raw_path, query, own, site, client)
        except BinderyError as error:
            response = error_message(error)
            title = "This link cannot be launched"
            return error_page(response.status, title, response.message, name=self.title, root=own.root)

    def _launch(self, raw_path: str, query: Mapping[str, str], own: Own, site: str, client: str) -> Page:
        self.rules().check_client(client)
        link = read_link(raw_path, "/v2/")
        provider = self.provider(link.provider)
        repo_url = provider.check(link.spec)
        canonical = provider.canonical(link.spec)
        self.rules().check_spec(link.spec, f"{link.provider}/{canonical}")
        path = path_in_session(query.get("urlpath"), query.get("labpath"), query.get("filepath"))
        token = self.tokens.build_token(
            f"{link.provider}/{link.spec}", own.origin, self.clock.random_id(), self.clock.now() + TOKEN_SECONDS
        )
        return launch_page(
            LaunchLink(link.provider, provider.display.name, link.spec, repo_url, path),
            token,
            autostart=self._starts_at_once(site, f"{link.provider}/{canonical}"),
            isolated=self.isolated,
            name=self.title,
            root=own.root,
        )

    def _starts_at_once(self, site: str, name: str) -> bool:
        """Return True if the page may launch before its visitor has pressed a button.

        Where sessions can touch this machine, only links on our own pages do, and links from outside the browser (`none`) to
        repositories that were launched here before. site: `Sec-Fetch-Site`, which only the browser itself can set.
        """
        return self.isolated or site == "same-origin" or (site == "none" and self.is_confirmed(name))

    def doi_redirect(self, raw_path: str, query: Mapping[str, str], client: str) -> str:
        """Return the redirect location of `/v2/doi/<DOI>`: the launch page of its record, on the record's host.

        A DOI that is not in the cache counts as a launch of the client: clients cannot make Bindery send unlimited requests to
        the DOI system.
        """
        self.rules().check_client(client)
        home = self.dois().home(read_link(raw_path, "/v2/").spec, lambda: self.count(client))
        return launch_path(home.provider, home.spec) + (f"?{urlencode(query)}" if query else "")

    def repo_redirect(self, raw_path: str) -> str:
        """Return the redirect location of `/repo/<owner>/<repository>[/<path>]`, the oldest kind of link."""
        owner, _, rest = plain_path(raw_path).removeprefix("/repo/").partition("/")
        repository, _, path = rest.partition("/")
        if not owner or not repository:
            raise BadRequest(why="a link of this kind looks like /repo/owner/repository")
        return f"/v2/gh/{owner}/{repository}/master" + (f"?{urlencode({'urlpath': path})}" if path else "")

    def again(self, raw_path: str) -> str:
        """Return the redirect location of `/sessions/<id>`: the launch page of the session's repository.

        That page decides about the new launch.

        Any client that sees a session's host name may ask, so only public repositories are named. Raises SessionNotFound.
        """
        session = plain_path(raw_path).removeprefix("/sessions/").removesuffix("/")
        launch = self.find_launch(session) if SESSION_ID.fullmatch(session) else None
        if launch is None or launch.repository is None or launch.repository.private:
            raise SessionNotFound
        return launch_path(launch.provider, launch.spec)

    def health(self) -> tuple[int, dict[str, object]]:
        """Return 200 if all services are healthy, else 503; and the state of each service."""
        checks = [{"service": service, "ok": _well(check)} for service, check in self.checks.items()]
        ok = all(check["ok"] for check in checks)
        return (200 if ok else 503), {"ok": ok, "checks": checks}

    def versions(self) -> dict[str, object]:
        """Return the versions of this Bindery, under BinderHub's names."""
        return {"builder_info": {"name": self.builder()}, "binderhub": __version__, "builder": self.builder()}

    def metrics(self, client: str, authorization: str) -> str:
        """Return Prometheus' text as the timer rendered it. Raises MetricsClosed, MetricsNotReady."""
        self.metrics_access.check(client, authorization)
        text = self.metrics_text()
        if text is None:
            raise MetricsNotReady
        return text


def _well(check: Callable[[], object]) -> bool:
    try:
        check()
    except BinderyError:
        return False
    return True
