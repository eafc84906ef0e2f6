"""What the settings pick: the only place where adapters are named.

They are imported inside the functions that need them, so that a function loads only what it uses.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bindery.domain.errors import UnknownProvider
from bindery.ports.build_service import BuildService
from bindery.ports.clock import Clock
from bindery.ports.contents import Contents
from bindery.ports.queue import Queue
from bindery.ports.repository_provider import RepositoryProvider
from bindery.ports.session_launcher import SessionLauncher
from bindery.ports.table import Table
from bindery.settings import Settings

if TYPE_CHECKING:
    from bindery.adapters.repositories.guard import GuardedClient


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
def table() -> Table:
    if settings().table == "sqlite":
        from bindery.adapters.tables.sqlite import SqliteTable

        return SqliteTable(home() / "table.sqlite")
    import boto3

    from bindery.adapters.tables.dynamodb import DynamoTable

    return DynamoTable(settings().table, boto3.client("dynamodb"))


@cache
def queue() -> Queue:
    if settings().queues == "memory":
        from bindery.adapters.queues.memory import MemoryQueues

        return MemoryQueues()
    import boto3

    from bindery.adapters.queues.sqs import SqsQueues

    return SqsQueues(boto3.client("sqs"), settings().queue_urls)


@cache
def guarded_client() -> GuardedClient:
    from bindery.adapters.repositories.guard import GuardedClient

    return GuardedClient(settings().allowed_private_hosts, now=clock().now)


@cache
def providers() -> Mapping[str, RepositoryProvider]:
    from bindery.adapters.repositories.registry import make_providers

    return make_providers(settings(), guarded_client(), table(), clock())


def provider(name: str) -> RepositoryProvider:
    try:
        return providers()[name]
    except KeyError:
        raise UnknownProvider(provider=name, known=", ".join(providers())) from None


@cache
def contents() -> Contents:
    from bindery.adapters.repositories.contents import GitContents

    return GitContents(home() / "repositories", guarded_client(), clock())


@cache
def builds() -> BuildService:
    return container_builds() if settings().builder == "container" else uv_builds()


def uv_builds() -> BuildService:
    from bindery.adapters.builds.uv import UvBuilds

    given, beside = settings(), Path(sys.executable).parent / "uv"
    return UvBuilds(
        home(),
        contents(),
        queue(),
        clock(),
        slots=given.build_slots,
        max_bytes=given.disk_bytes,
        uv=str(beside) if beside.exists() else "",
    )


def container_builds() -> BuildService:
    from bindery.adapters.builds.container import ContainerBuilds
    from bindery.adapters.builds.registry import Registry

    given = settings()
    return ContainerBuilds(
        home(),
        contents(),
        queue(),
        clock(),
        Registry(given.registry, given.registry_user, given.registry_password.get_secret_value()),
        tool=given.container_tool,
        base_image=given.base_image,
        slots=given.build_slots,
        max_bytes=given.disk_bytes,
    )


@cache
def launcher() -> SessionLauncher:
    return kubernetes_sessions() if settings().launcher == "kubernetes" else process_sessions()


def kubernetes_sessions() -> SessionLauncher:
    from bindery.adapters.sessions.cluster import Cluster
    from bindery.adapters.sessions.credentials import client_of
    from bindery.adapters.sessions.kubernetes import KubernetesSessions, PublicAddress
    from bindery.adapters.sessions.pod import Making

    given = settings()
    address = PublicAddress(given.sessions_url)
    making = Making(given.gateway, address.domain, given.resources, given.allowed_origins, given.pull_secret)
    return KubernetesSessions(Cluster(client_of(given.kubeconfig), given.namespace), making, address, clock())


def process_sessions() -> SessionLauncher:
    from bindery.adapters.builds.environments import environment_of, hold
    from bindery.adapters.sessions.process import ProcessSessions

    return ProcessSessions(
        home(),
        contents(),
        clock(),
        find_environment=lambda image: environment_of(home(), image),
        hold_environment=lambda image: hold(home(), image),
        allowed_origins=settings().allowed_origins,
    )


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
        return builds()

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

    def providers(self) -> Mapping[str, RepositoryProvider]:
        return providers()

    def provider(self, name: str) -> RepositoryProvider:
        return provider(name)
