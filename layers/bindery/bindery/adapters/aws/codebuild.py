"""CodeBuild: each attempt is one build of one project, which runs `bindery_builder.codebuild`."""

import hashlib
import math
import re
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from bindery.adapters.aws.codebuild_report import (
    ATTEMPT,
    ENVIRONMENT,
    LAYER,
    SECONDS,
    SPARE_MINUTES,
    report_of,
    winner_of,
)
from bindery.adapters.aws.ecr import EcrRegistry
from bindery.adapters.aws.errors import trouble_of, words_of
from bindery.adapters.builder_version import REPO2DOCKER, engine_name
from bindery.domain.builds import BuildOrder, BuildReport, BuildState
from bindery.domain.errors import BuildsRefused

if TYPE_CHECKING:
    from mypy_boto3_codebuild import CodeBuildClient
    from mypy_boto3_codebuild.type_defs import BuildTypeDef, EnvironmentVariableTypeDef

_HANDLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{1,254}:[0-9a-f-]{36}")
_FEWEST_MINUTES, _MOST_MINUTES = 5, 2160
_TOO_MANY = "AccountLimitExceededException"  # common on new accounts: "Cannot have more than 0 builds in queue"
_NOTHING_TO_STOP = {"ResourceNotFoundException", "InvalidInputException"}


class CodeBuild:
    """BuildService on AWS. make_client: called when CodeBuild is first asked, as not every function does.

    CodeBuild forgets after five minutes that it was asked for an attempt, and would start a second build for it. The first step of
    every build records its handle in the table, on condition that none is there: the second then ends at once, and whoever looks
    at it sees how the first one goes. That step reads from the table what to build, too: the variables of a build have not the room.

    layer: with what runs in a build, by its ARN: of whoever starts it, so that they understand each other while a deployment goes
    on or is rolled back. Empty: the project's.
    """

    known_after = 60.0  # answers are eventually consistent: BatchGetBuilds may not find what StartBuild has just begun

    def __init__(
        self,
        project: str,
        make_client: "Callable[[], CodeBuildClient]",
        registry: EcrRegistry,
        base_image: str = "",
        layer: str = "",
    ) -> None:
        self._project, self._make_client = project, make_client
        self._registry, self._base_image, self._layer = registry, base_image, layer

    @property
    def name(self) -> str:
        """As the engine's on one machine: the same files give the same environment with each."""
        return engine_name(REPO2DOCKER, self._base_image)

    def start(self, order: BuildOrder) -> str:
        with trouble_of("CodeBuild"):
            try:
                answer = self._client.start_build(
                    projectName=self._project,
                    idempotencyToken=hashlib.sha256(f"{order.environment} {order.attempt}".encode()).hexdigest(),
                    environmentVariablesOverride=_variables(order, self._layer),
                    timeoutInMinutesOverride=_minutes(order.seconds),
                )
            except ClientError as error:
                if error.response["Error"]["Code"] == _TOO_MANY:
                    raise BuildsRefused(why=words_of("CodeBuild", error)) from error
                raise
        return answer["build"]["id"]

    def look(self, handle: str) -> BuildReport:
        build = self._build(handle)
        if build is not None and (winner := winner_of(build)):
            build = self._build(winner)
        return report_of(build) if build is not None else BuildReport(BuildState.UNKNOWN)

    def stop(self, handle: str) -> None:
        if not _HANDLE.fullmatch(handle):
            return
        with trouble_of("CodeBuild"):
            try:
                self._client.stop_build(id=handle)
            except ClientError as error:
                if error.response["Error"]["Code"] not in _NOTHING_TO_STOP:
                    raise

    def has(self, image: str) -> bool:
        return self._registry.has(image)

    def remove(self, image: str) -> bool:
        return self._registry.remove(image)

    def _build(self, handle: str) -> "BuildTypeDef | None":
        if not _HANDLE.fullmatch(handle):
            return None
        with trouble_of("CodeBuild"):
            found = self._client.batch_get_builds(ids=[handle])["builds"]
        return found[0] if found else None

    @cached_property
    def _client(self) -> "CodeBuildClient":
        return self._make_client()


def _variables(order: BuildOrder, layer: str) -> "list[EnvironmentVariableTypeDef]":
    """Short, whatever the repository: all variables of a build may have 5,500 characters together. CodeBuild's events tell them."""
    told = {ENVIRONMENT: order.environment, ATTEMPT: str(order.attempt), SECONDS: str(order.seconds)}
    if layer:
        told[LAYER] = layer
    return [{"name": name, "value": value, "type": "PLAINTEXT"} for name, value in told.items()]


def _minutes(seconds: int) -> int:
    """The builder keeps the exact limit; this ends what the builder could not."""
    return max(_FEWEST_MINUTES, min(_MOST_MINUTES, math.ceil(seconds / 60) + SPARE_MINUTES))
