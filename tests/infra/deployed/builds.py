"""Builds with an end that a test chooses. The adapter makes the same calls of CodeBuild and ECR on moto, where builds
never end.
"""

from dataclasses import dataclass, field

import boto3

from bindery.bootstrap import Adapters
from bindery.domain.builds import BuildOrder, BuildReport
from tests.fakes.builds import FakeBuilds

DIGEST = "sha256:" + "0" * 64


@dataclass
class BuildsOnAws(FakeBuilds):
    """A build service that does not use its adapter's results.

    adapters: of the deployed system. handles: CodeBuild's, by the fake's.
    """

    handles: dict[str, str] = field(default_factory=dict)
    adapters: Adapters = field(kw_only=True)

    def start(self, order: BuildOrder) -> str:
        handle = super().start(order)
        self.handles[handle] = self.adapters.build_service.start(order)
        return handle

    def status(self, handle: str) -> BuildReport:
        if handle in self.handles:
            self.adapters.build_service.status(self.handles[handle])
        return super().status(handle)

    def stop(self, handle: str) -> None:
        if handle in self.handles:
            self.adapters.build_service.stop(self.handles[handle])
        super().stop(handle)

    def image_exists(self, image: str) -> bool:
        self.adapters.build_service.image_exists(
            f"{self.adapters.settings.registry.removeprefix('https://')}/sessions@{DIGEST}"
        )
        return super().image_exists(image)

    def remove(self, image: str) -> bool:
        self.adapters.build_service.remove(
            f"{self.adapters.settings.registry.removeprefix('https://')}/sessions@{DIGEST}"
        )
        return super().remove(image)


def prepare(session: boto3.Session, project: str, repository: str) -> None:
    """Make the template's resources for builds."""
    session.client("ecr").create_repository(repositoryName=repository)
    session.client("codebuild").create_project(
        name=project,
        source={"type": "S3", "location": "moto/asks for one"},
        artifacts={"type": "NO_ARTIFACTS"},
        environment={"type": "LINUX_CONTAINER", "image": "x", "computeType": "BUILD_GENERAL1_SMALL"},
        serviceRole="arn:aws:iam::123456789012:role/physical",
    )
