"""What the settings pick: the only place where adapters are named.

They are imported inside the functions that need them, so that a function loads only what it uses.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bindery.bootstrap.when_asked import BuildsWhenAsked
from bindery.domain.errors import UnknownProvider
from bindery.ports.build_service import BuildService
from bindery.ports.clock import Clock
from bindery.ports.contents import Contents
from bindery.ports.doi_directory import DoiDirectory
from bindery.ports.queue import Queue
from bindery.ports.repository_provider import RepositoryProvider
from bindery.ports.session_launcher import SessionLauncher
from bindery.ports.table import Table
from bindery.settings import Settings

if TYPE_CHECKING:
    from botocore.config import Config
    from botocore.session import Session
    from mypy_boto3_codebuild import CodeBuildClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_eks import EKSClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

    from bindery.adapters.builds.ecr import EcrRegistry
    from bindery.adapters.repositories.guard import GuardedClient
    from bindery.adapters.sessions.access import Access


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


def patience() -> Config:
    """For what a visitor waits for: AWS' own is minutes."""
    from botocore.config import Config

    return Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 3, "mode": "standard"})


@cache
def table() -> Table:
    if settings().table == "sqlite":
        from bindery.adapters.tables.sqlite import SqliteTable

        return SqliteTable(home() / "table.sqlite")
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

    return GuardedClient(settings().allowed_private_hosts, now=clock().now)


def providers() -> Mapping[str, RepositoryProvider]:
    from bindery.adapters.repositories.registry import PROVIDERS

    return {name: provider(name) for name in PROVIDERS}


@cache
def provider(name: str) -> RepositoryProvider:
    """Each by itself: most launches are of one host, whose provider loads no git."""
    from bindery.adapters.repositories.registry import PROVIDERS

    if name not in PROVIDERS:
        raise UnknownProvider(provider=name, known=", ".join(PROVIDERS))
    return PROVIDERS[name](settings(), guarded_client(), table(), clock())


@cache
def contents() -> Contents:
    from bindery.adapters.repositories.any_contents import AnyContents

    return AnyContents(home() / "repositories", guarded_client(), clock(), provider)


@cache
def builds() -> BuildService:
    engines = {"codebuild": codebuild_builds, "container": container_builds, "uv": uv_builds}
    return engines[settings().builder]()


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


def codebuild_builds() -> BuildService:
    from bindery.adapters.builds.codebuild import CodeBuild

    given = settings()
    return CodeBuild(
        given.codebuild_project,
        lambda: cast("CodeBuildClient", aws().create_client("codebuild")),
        ecr_registry(),
        given.base_image,
    )


def ecr_registry() -> EcrRegistry:
    from bindery.adapters.builds.ecr import EcrRegistry

    return EcrRegistry(settings().registry, lambda: cast("ECRClient", aws().create_client("ecr")))


@cache
def launcher() -> SessionLauncher:
    return kubernetes_sessions() if settings().launcher == "kubernetes" else process_sessions()


def kubernetes_sessions() -> SessionLauncher:
    from bindery.adapters.sessions.cluster import Cluster
    from bindery.adapters.sessions.kubernetes import KubernetesSessions, PublicAddress
    from bindery.adapters.sessions.pod import Making

    given = settings()
    address = PublicAddress(given.sessions_url)
    making = Making(given.gateway, address.domain, given.resources, given.allowed_origins, given.pull_secret)
    return KubernetesSessions(Cluster(cluster_access(), given.namespace), making, address, clock())


def cluster_access() -> Access:
    given = settings()
    if given.eks_cluster:
        from bindery.adapters.sessions.eks import EksAccess

        eks = cast("EKSClient", aws().create_client("eks", config=patience()))
        return EksAccess(given.eks_cluster, eks, aws(), clock())
    if given.kubeconfig_secret:
        from bindery.adapters.sessions.kubeconfig_secret import SecretAccess

        secrets = cast("SecretsManagerClient", aws().create_client("secretsmanager", config=patience()))
        return SecretAccess(given.kubeconfig_secret, secrets, clock())
    from bindery.adapters.sessions.credentials import access_of

    return access_of(given.kubeconfig)


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
        """Made when it is first asked: whoever moves a launch on holds it, and hardly ever asks."""
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

    def providers(self) -> Mapping[str, RepositoryProvider]:
        return providers()

    def provider(self, name: str) -> RepositoryProvider:
        return provider(name)

    @cached_property
    def doi_directory(self) -> DoiDirectory:
        from bindery.adapters.repositories.registry import make_doi_directory

        return make_doi_directory(settings(), guarded_client(), table(), clock(), provider)
