"""Build service on CodeBuild: each attempt is one build of one project, which runs `bindery_builder.codebuild`."""

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
    """BuildService on AWS. make_client: called at the first request to CodeBuild; some functions never send one.

    CodeBuild forgets the idempotency token of an attempt after five minutes, and would start a second build for the attempt. The
    first step of each build records its handle in the table, on the condition that the table has no handle yet. The second build
    then ends at once, and its report is that of the first build. The first step also reads the build order from the table, because
    the variables of a build have too little room for it.

    layer: ARN of the layer with the build's code. It is the layer of the function that starts the build, so both have the same
    version during a deployment or a rollback. Empty: the project's layer.
    """

    report_delay = (
        60.0  # responses are eventually consistent: BatchGetBuilds may not find a build just after StartBuild
    )

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
        """Return the name that the engine on one machine has, too: both make the same environment of the same files."""
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

    def status(self, handle: str) -> BuildReport:
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

    def image_exists(self, image: str) -> bool:
        return self._registry.image_exists(image)

    def remove(self, image: str) -> bool:
        return self._registry.remove(image)

    def _build(self, handle: str) -> "BuildTypeDef | None":
        if not _HANDLE.fullmatch(handle):
            return None
        with trouble_of("CodeBuild"):
            builds = self._client.batch_get_builds(ids=[handle])["builds"]
        return builds[0] if builds else None

    @cached_property
    def _client(self) -> "CodeBuildClient":
        return self._make_client()


def _variables(order: BuildOrder, layer: str) -> "list[EnvironmentVariableTypeDef]":
    """Return the build's environment variables. CodeBuild's events contain them.

    They are short for every repository: all variables of a build together may have at most 5,500 characters.
    """
    values = {ENVIRONMENT: order.environment, ATTEMPT: str(order.attempt), SECONDS: str(order.seconds)}
    if layer:
        values[LAYER] = layer
    return [{"name": name, "value": value, "type": "PLAINTEXT"} for name, value in values.items()]


def _minutes(seconds: int) -> int:
    """Return CodeBuild's timeout in minutes. The builder enforces the exact limit; this timeout ends a build that the builder could not."""
    return max(_FEWEST_MINUTES, min(_MOST_MINUTES, math.ceil(seconds / 60) + SPARE_MINUTES))
