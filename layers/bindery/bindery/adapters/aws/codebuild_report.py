"""What CodeBuild says of a build, in our words. The builder's own words come as exported variables."""

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
"""What CodeBuild gives a build beyond its limit, for its own preparations and for the builder to end by itself."""
_WORDS = 300
_BEFORE_OURS = {"SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD"}


def report_of(build: "BuildTypeDef") -> BuildReport:
    """Return the report of a build that BatchGetBuilds described.

    A build that wrote an outcome has status SUCCEEDED; its variables say which outcome. A build that wrote none did not fail
    because of the repository: BuildServiceDown.
    """
    status, told = build.get("buildStatus", ""), _exported(build)
    if status == "IN_PROGRESS":
        return BuildReport(BuildState.RUNNING)
    if status == "SUCCEEDED" and (image := told.get(IMAGE)):
        return BuildReport(BuildState.SUCCEEDED, image=image)
    return BuildReport(BuildState.FAILED, failure=_failure(status, build, told))


def winner_of(build: "BuildTypeDef") -> str:
    """The handle of the build that came first, if this one found that it had."""
    return _exported(build).get(WINNER, "")


def changed(detail: Mapping[str, Any]) -> BuildChanged:
    """An event's detail: CodeBuild's, whose variables name the attempt, or one that names it itself.

    https://docs.aws.amazon.com/codebuild/latest/userguide/sample-build-notifications.html. Raises ValidationError, KeyError.
    """
    if "additional-information" not in detail:
        return BuildChanged.model_validate(detail)
    told = _named(detail["additional-information"]["environment"]["environment-variables"])
    return BuildChanged.model_validate({"environment": told[ENVIRONMENT], "attempt": told[ATTEMPT]})


def _failure(status: str, build: "BuildTypeDef", told: Mapping[str, str]) -> Failure:
    if status == "STOPPED":
        return Failure.of(BuildFailed(step="build", why="it was stopped"))
    if failure := _told_failure(told.get(FAILURE, "")):
        return failure
    phase, words = _where_it_ended(build)
    if status == "TIMED_OUT" and phase not in _BEFORE_OURS:
        return Failure.of(BuildTooLong(minutes=max(1, build.get("timeoutInMinutes", 0) - SPARE_MINUTES)))
    return Failure.of(BuildServiceDown(why=f"CodeBuild ended at {phase}: {words}"[:_WORDS]))


def _told_failure(text: str) -> Failure | None:
    try:
        failure = Failure.model_validate_json(text)
    except ValidationError:
        return None
    known = getattr(errors, failure.kind, None)
    return failure if isinstance(known, type) and issubclass(known, errors.BinderyError) else None


def _where_it_ended(build: "BuildTypeDef") -> tuple[str, str]:
    """The phase that did not succeed, and CodeBuild's words on it."""
    for phase in build.get("phases", []):
        if phase.get("phaseStatus") not in (None, "SUCCEEDED", "IN_PROGRESS"):
            contexts = phase.get("contexts", [])
            words = " ".join(told for context in contexts if (told := context.get("message", "")))
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
