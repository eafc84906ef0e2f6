"""Adapters for each port, made from the settings. No other module of this package names adapters.

They are imported inside the properties that need them, so that a function loads only the adapters that it uses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from bindery.domain.builds import BuildOrder, BuildReport
from bindery.domain.errors import UnknownProvider
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

    from bindery.adapters.aws.ecr import EcrRegistry
    from bindery.adapters.http.client import GuardedClient
    from bindery.adapters.kubernetes.access import Access
    from bindery.adapters.kubernetes.launcher import KubernetesSessions
    from bindery.ports.build_service import BuildService
    from bindery.ports.clock import Clock
    from bindery.ports.doi_directory import DoiDirectory
    from bindery.ports.queue import Queue
    from bindery.ports.repository_provider import RepositoryProvider
    from bindery.ports.session_launcher import SessionLauncher
    from bindery.ports.table import Table
    from bindery.web.stream.change_notifier import ChangeNotifier


@dataclass(frozen=True)
class LazyBuilds:
    """Build service port, made at its first use: most of a function's messages do not need it.

    make: returns the same object each time.
    """

    make: Callable[[], BuildService]

    @property
    def name(self) -> str:
        return self.make().name

    @property
    def report_delay(self) -> float:
        return self.make().report_delay

    def start(self, order: BuildOrder) -> str:
        return self.make().start(order)

    def status(self, handle: str) -> BuildReport:
        return self.make().status(handle)

    def stop(self, handle: str) -> None:
        self.make().stop(handle)

    def image_exists(self, image: str) -> bool:
        return self.make().image_exists(image)

    def remove(self, image: str) -> bool:
        return self.make().remove(image)


class Adapters:
    """Ports on AWS and Kubernetes. Each is made once, at its first use.

    isolated: True if a session cannot touch the machine that Bindery runs on, so that it may start without confirmation.
    notifier: notifies of writes to the table; None if other processes write it.
    """

    isolated = True

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._providers: dict[str, RepositoryProvider] = {}

    @cached_property
    def clock(self) -> Clock:
        from bindery.adapters.clock import SystemClock

        return SystemClock()

    @cached_property
    def aws(self) -> Session:
        """Return botocore's own session, which makes all clients.

        The additions of boto3 are for other services, and would be loaded, too.
        """
        from botocore.session import get_session

        return get_session()

    @property
    def notifier(self) -> ChangeNotifier | None:
        return None

    @cached_property
    def table(self) -> Table:
        from bindery.adapters.aws.dynamodb import DynamoTable

        return DynamoTable(self.settings.table, cast("DynamoDBClient", self.aws.create_client("dynamodb")))

    @cached_property
    def queue(self) -> Queue:
        from bindery.adapters.aws.sqs import SqsQueues

        return SqsQueues(cast("SQSClient", self.aws.create_client("sqs")), self.settings.queue_urls)

    @property
    def builds(self) -> BuildService:
        return LazyBuilds(lambda: self.build_service)

    @cached_property
    def build_service(self) -> BuildService:
        from bindery.adapters.aws.codebuild import CodeBuild

        settings = self.settings
        return CodeBuild(
            settings.codebuild_project,
            lambda: cast("CodeBuildClient", self.aws.create_client("codebuild")),
            self.ecr_registry(),
            settings.base_image,
            settings.codebuild_layer,
        )

    def ecr_registry(self) -> EcrRegistry:
        from bindery.adapters.aws.ecr import EcrRegistry

        return EcrRegistry(self.settings.registry, lambda: cast("ECRClient", self.aws.create_client("ecr")))

    @cached_property
    def launcher(self) -> SessionLauncher:
        return self.kubernetes

    @cached_property
    def kubernetes(self) -> KubernetesSessions:
        from bindery.adapters.kubernetes.api import Cluster
        from bindery.adapters.kubernetes.launcher import KubernetesSessions, PublicAddress
        from bindery.adapters.kubernetes.manifests import Making

        settings = self.settings
        address = PublicAddress(settings.sessions_url)
        making = Making(
            settings.gateway, address.domain, settings.resources, settings.allowed_origins, settings.pull_secret
        )
        return KubernetesSessions(Cluster(self.cluster_access(), settings.namespace), making, address, self.clock)

    def cluster_access(self) -> Access:
        """Return the access to the cluster's API server: from EKS, or from the kubeconfig in a secret."""
        settings = self.settings
        if settings.eks_cluster:
            from bindery.adapters.aws.eks import EksAccess

            eks = cast("EKSClient", self.aws.create_client("eks", config=_patience()))
            return EksAccess(settings.eks_cluster, eks, self.aws, self.clock)
        from bindery.adapters.aws.kubeconfig_secret import SecretAccess

        secrets = cast("SecretsManagerClient", self.aws.create_client("secretsmanager", config=_patience()))
        return SecretAccess(settings.kubeconfig_secret, secrets, self.clock)

    @cached_property
    def guarded_client(self) -> GuardedClient:
        from bindery.adapters.http.client import GuardedClient

        settings = self.settings
        hosts = {urlsplit(url).hostname or "" for url in (*settings.git_servers, *settings.host_apis)}
        return GuardedClient(settings.allowed_private_hosts, known_hosts=hosts, now=self.clock.now)

    def providers(self) -> Mapping[str, RepositoryProvider]:
        return {name: self.provider(name) for name in self._served}

    @cached_property
    def _served(self) -> tuple[str, ...]:
        from bindery.adapters.hosts.registry import PROVIDERS

        return tuple(name for name in PROVIDERS if name not in self.settings.providers_off)

    def provider(self, name: str) -> RepositoryProvider:
        """Return the provider of a name. Each is made separately: most launches are of one host, and its provider loads no git."""
        from bindery.adapters.hosts.registry import PROVIDERS

        if name not in self._served:
            raise UnknownProvider(provider=name, known=", ".join(self._served))
        if name not in self._providers:
            self._providers[name] = PROVIDERS[name](self.settings, self.guarded_client, self.table, self.clock)
        return self._providers[name]

    @cached_property
    def doi_directory(self) -> DoiDirectory:
        from bindery.adapters.hosts.registry import make_doi_directory

        return make_doi_directory(self.settings, self.guarded_client, self.table, self.clock, self.provider)


def _patience() -> Config:
    """Return timeouts for requests that a visitor waits for: AWS' own timeouts are minutes."""
    from botocore.config import Config

    return Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 3, "mode": "standard"})
