"""What builds environments and what runs sessions: each engine, put together as the settings want it.

Adapters are imported inside the functions that need them, as in `picks`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bindery.bootstrap.picks import aws, clock, contents, home, queue, settings

if TYPE_CHECKING:
    from botocore.config import Config
    from mypy_boto3_codebuild import CodeBuildClient
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_eks import EKSClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

    from bindery.adapters.builds.ecr import EcrRegistry
    from bindery.adapters.builds.pull_logins import PullLogin
    from bindery.adapters.sessions.access import Access
    from bindery.ports.build_service import BuildService
    from bindery.ports.session_launcher import SessionLauncher


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
        logins=pull_logins(),
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
        given.codebuild_layer,
    )


def ecr_registry() -> EcrRegistry:
    from bindery.adapters.builds.ecr import EcrRegistry

    return EcrRegistry(settings().registry, lambda: cast("ECRClient", aws().create_client("ecr")))


def pull_logins() -> list[PullLogin]:
    """For images that builds begin from."""
    from bindery.adapters.builds.pull_logins import docker_hub

    login = settings().docker_hub_login.get_secret_value()
    return [docker_hub(login)] if login else []


def ecr_public_login() -> PullLogin:
    """AWS's, where a build has the project's role."""
    from bindery.adapters.builds.ecr_public import REGION, EcrPublicClient, ecr_public

    return ecr_public(lambda: cast("EcrPublicClient", aws().create_client("ecr-public", region_name=REGION)))


def patience() -> Config:
    """For what a visitor waits for: AWS' own is minutes."""
    from botocore.config import Config

    return Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 3, "mode": "standard"})


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
