"""Reports of builds from CodeBuild's records and events. The builder's own results are exported variables."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bindery.domain import errors
from bindery.domain.builds import BuildReport, BuildState
from bindery.domain.errors import BuildFailed, BuildServiceDown, BuildTooLong
from bindery.domain.failure import Failure
from bindery.domain.messages import BuildChanged

if TYPE_CHECKING:
    from mypy_boto3_codebuild.type_defs import BuildTypeDef

ENVIRONMENT, ATTEMPT, SECONDS = "BINDERY_ENVIRONMENT", "BINDERY_ATTEMPT", "BINDERY_SECONDS"
LAYER = "BINDERY_LAYER"
IMAGE, FAILURE, WINNER = "BINDERY_IMAGE", "BINDERY_FAILURE", "BINDERY_WINNER"
SPARE_MINUTES = 4
"""Minutes that CodeBuild's timeout exceeds the build's limit: for CodeBuild's preparations, and for the builder to end by itself."""
_WORDS = 300
_BEFORE_OURS = {"SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD"}


def report_of(build: "BuildTypeDef") -> BuildReport:
    """Return the report of a build that BatchGetBuilds described.

    A build that wrote an outcome has status SUCCEEDED; its variables contain the outcome. A build without an outcome did not fail
    because of the repository: its failure is BuildServiceDown.
    """
    status, outcome = build.get("buildStatus", ""), _exported(build)
    if status == "IN_PROGRESS":
        return BuildReport(BuildState.RUNNING)
    if status == "SUCCEEDED" and (image := outcome.get(IMAGE)):
        return BuildReport(BuildState.SUCCEEDED, image=image)
    return BuildReport(BuildState.FAILED, failure=_failure(status, build, outcome))


def winner_of(build: "BuildTypeDef") -> str:
    """Return the handle of the attempt's first build, if this build found it in the table; else empty."""
    return _exported(build).get(WINNER, "")


def changed(detail: Mapping[str, Any]) -> BuildChanged:
    """Return the message for an event's detail: CodeBuild's, with the attempt in its variables, or one with the attempt itself.

    https://docs.aws.amazon.com/codebuild/latest/userguide/sample-build-notifications.html. Raises ValidationError, KeyError.
    """
    if "additional-information" not in detail:
        return BuildChanged.model_validate(detail)
    variables = _named(detail["additional-information"]["environment"]["environment-variables"])
    return BuildChanged.model_validate({"environment": variables[ENVIRONMENT], "attempt": variables[ATTEMPT]})


def _failure(status: str, build: "BuildTypeDef", outcome: Mapping[str, str]) -> Failure:
    if status == "STOPPED":
        return Failure.of(BuildFailed(step="build", why="it was stopped"))
    if failure := _exported_failure(outcome.get(FAILURE, "")):
        return failure
    phase, words = _where_it_ended(build)
    if status == "TIMED_OUT" and phase not in _BEFORE_OURS:
        return Failure.of(BuildTooLong(minutes=max(1, build.get("timeoutInMinutes", 0) - SPARE_MINUTES)))
    return Failure.of(BuildServiceDown(why=f"CodeBuild ended at {phase}: {words}"[:_WORDS]))


def _exported_failure(text: str) -> Failure | None:
    try:
        failure = Failure.model_validate_json(text)
    except ValidationError:
        return None
    kind = getattr(errors, failure.kind, None)
    return failure if isinstance(kind, type) and issubclass(kind, errors.BinderyError) else None


def _where_it_ended(build: "BuildTypeDef") -> tuple[str, str]:
    """Return the phase that did not succeed, and CodeBuild's message about it."""
    for phase in build.get("phases", []):
        if phase.get("phaseStatus") not in (None, "SUCCEEDED", "IN_PROGRESS"):
            contexts = phase.get("contexts", [])
            words = " ".join(message for context in contexts if (message := context.get("message", "")))
            return phase.get("phaseType", "UNKNOWN"), " ".join(words.split()) or phase.get("phaseStatus", "")
    return build.get("currentPhase", "UNKNOWN"), build.get("buildStatus", "")


def _exported(build: "BuildTypeDef") -> dict[str, str]:
    return {
        variable["name"]: variable.get("value", "")
        for variable in build.get("exportedEnvironmentVariables", [])
        if "name" in variable
    }


def _named(variables: Sequence[Mapping[str, str]]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in variables}
