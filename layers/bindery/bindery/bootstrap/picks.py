"""What the settings pick: here and in `engines`, and nowhere else, adapters are named.

They are imported inside the functions that need them, so that a function loads only what it uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from bindery.domain.errors import UnknownProvider
from bindery.settings import Settings

if TYPE_CHECKING:
    from botocore.session import Session
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

    from bindery.adapters.repositories.guard import GuardedClient
    from bindery.ports.build_service import BuildService
    from bindery.ports.clock import Clock
    from bindery.ports.contents import Contents
    from bindery.ports.doi_directory import DoiDirectory
    from bindery.ports.queue import Queue
    from bindery.ports.repository_provider import RepositoryProvider
    from bindery.ports.session_launcher import SessionLauncher
    from bindery.ports.table import Table
    from bindery.web.word import Word


@cache
def settings() -> Settings:
    return Settings.read()


@cache
def home() -> Path:
    return Path(settings().home).expanduser().absolute()


@cache
def clock() -> Clock:
    from bindery.adapters.clock import SystemClock

    return SystemClock()


@cache
def aws() -> Session:
    """Of all clients. Botocore's own: what boto3 adds to it is for other services, and loaded all the same."""
    from botocore.session import get_session

    return get_session()


@cache
def word() -> Word:
    from bindery.web.word import Word

    return Word()


@cache
def table() -> Table:
    if settings().table == "sqlite":
        from bindery.adapters.tables.sqlite import SqliteTable

        return SqliteTable(home() / "table.sqlite", written=word().written)
    from bindery.adapters.tables.dynamodb import DynamoTable

    return DynamoTable(settings().table, cast("DynamoDBClient", aws().create_client("dynamodb")))


@cache
def queue() -> Queue:
    if settings().queues == "memory":
        from bindery.adapters.queues.memory import MemoryQueues

        return MemoryQueues()
    from bindery.adapters.queues.sqs import SqsQueues

    return SqsQueues(cast("SQSClient", aws().create_client("sqs")), settings().queue_urls)


@cache
def guarded_client() -> GuardedClient:
    from bindery.adapters.repositories.guard import GuardedClient

    given = settings()
    apis = (given.github_api_url, given.zenodo_api_url, given.figshare_api_url, given.hydroshare_api_url, given.doi_url)
    known = {urlsplit(url).hostname or "" for url in (given.github_url, given.gist_url, given.gitlab_url, *apis)}
    return GuardedClient(given.allowed_private_hosts, known_hosts=known, now=clock().now)


def providers() -> Mapping[str, RepositoryProvider]:
    from bindery.adapters.repositories.registry import PROVIDERS

    return {name: provider(name) for name in PROVIDERS if name not in settings().providers_off}


@cache
def provider(name: str) -> RepositoryProvider:
    """Each by itself: most launches are of one host, whose provider loads no git."""
    from bindery.adapters.repositories.registry import PROVIDERS

    served = [each for each in PROVIDERS if each not in settings().providers_off]
    if name not in served:
        raise UnknownProvider(provider=name, known=", ".join(served))
    return PROVIDERS[name](settings(), guarded_client(), table(), clock())


@cache
def contents() -> Contents:
    from bindery.adapters.repositories.any_contents import AnyContents
    from bindery.adapters.repositories.registry import no_git

    return AnyContents(home() / "repositories", guarded_client(), clock(), provider, no_git(settings()))


@cache
def builds() -> BuildService:
    from bindery.bootstrap import engines

    made = {"codebuild": engines.codebuild_builds, "container": engines.container_builds, "uv": engines.uv_builds}
    return made[settings().builder]()


@cache
def launcher() -> SessionLauncher:
    from bindery.bootstrap import engines

    return engines.kubernetes_sessions() if settings().launcher == "kubernetes" else engines.process_sessions()


class Picked:
    """The ports as the settings pick them."""

    @property
    def table(self) -> Table:
        return table()

    @property
    def queue(self) -> Queue:
        return queue()

    @property
    def builds(self) -> BuildService:
        """Made when it is first asked: whoever moves a launch on holds it, and hardly ever asks."""
        from bindery.bootstrap.when_asked import BuildsWhenAsked

        return BuildsWhenAsked(builds)

    @property
    def launcher(self) -> SessionLauncher:
        return launcher()

    @property
    def clock(self) -> Clock:
        return clock()

    @property
    def isolated(self) -> bool:
        """Process sessions are not, so nothing may start one unasked."""
        return settings().launcher != "process"

    @property
    def word(self) -> Word | None:
        return word() if settings().table == "sqlite" else None

    def providers(self) -> Mapping[str, RepositoryProvider]:
        return providers()

    def provider(self, name: str) -> RepositoryProvider:
        return provider(name)

    @cached_property
    def doi_directory(self) -> DoiDirectory:
        from bindery.adapters.repositories.registry import make_doi_directory

        return make_doi_directory(settings(), guarded_client(), table(), clock(), provider)
