"""CodeBuild's and ECR's interfaces as far as functions use them. A test takes the place of the build machine."""

import threading
import uuid
from dataclasses import dataclass, field
from typing import Any

from tests.serving.runtime import until

PLACE = "eu-central-1:000000000000"
Build = dict[str, Any]


@dataclass
class CodeBuild:
    """The state of the builds and the images.

    builds: by id, as `BatchGetBuilds` answers; functions see a test's change of a build when they ask. images: existing digests.
    """

    builds: dict[str, Build] = field(default_factory=dict)
    images: set[str] = field(default_factory=set)
    _tokens: dict[str, str] = field(default_factory=dict)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, action: str, request: dict[str, Any]) -> dict[str, Any]:
        """Return the response body. Raise KeyError for an action that functions never use."""
        answers = {
            "StartBuild": self._start,
            "BatchGetBuilds": self._look,
            "StopBuild": self._stop,
            "BatchGetImage": self._find,
        }
        with self._turn:
            return answers[action](request)

    def wait(self, count: int, seconds: float = 60) -> Build:
        """Return the newest build, as soon as there are `count`."""
        until(lambda: len(self.builds) >= count, seconds)
        return list(self.builds.values())[-1]

    def finish(self, build: Build, image: str) -> None:
        """End the build as if it had made and pushed this image."""
        self.images.add(image.partition("@")[2])
        build["exportedEnvironmentVariables"] = [{"name": "BINDERY_IMAGE", "value": image}]
        build["buildStatus"] = "SUCCEEDED"

    def _start(self, request: dict[str, Any]) -> dict[str, Any]:
        token = request["idempotencyToken"]
        id_ = self._tokens.setdefault(token, f"{request['projectName']}:{uuid.uuid4()}")
        details = {
            "id": id_,
            "arn": f"arn:aws:codebuild:{PLACE}:build/{id_}",
            "projectName": request["projectName"],
            "buildStatus": "IN_PROGRESS",
            "environment": {"environmentVariables": request["environmentVariablesOverride"]},
        }
        return {"build": self.builds.setdefault(id_, details)}

    def _look(self, request: dict[str, Any]) -> dict[str, Any]:
        builds = [self.builds[id_] for id_ in request["ids"] if id_ in self.builds]
        return {"builds": builds, "buildsNotFound": [id_ for id_ in request["ids"] if id_ not in self.builds]}

    def _stop(self, request: dict[str, Any]) -> dict[str, Any]:
        build = self.builds[request["id"]]
        if build["buildStatus"] == "IN_PROGRESS":
            build["buildStatus"] = "STOPPED"
        return {"build": build}

    def _find(self, request: dict[str, Any]) -> dict[str, Any]:
        digests = [id_["imageDigest"] for id_ in request["imageIds"]]
        lost = [{"imageId": {"imageDigest": id_}, "failureCode": "ImageNotFound"} for id_ in digests]
        return {
            "images": [{"imageId": {"imageDigest": id_}} for id_ in digests if id_ in self.images],
            "failures": [each for each in lost if each["imageId"]["imageDigest"] not in self.images],  # type: ignore[index]
        }


def variables(build: Build) -> dict[str, str]:
    """Return the variables that the build was started with."""
    return {each["name"]: each["value"] for each in build["environment"]["environmentVariables"]}


def state_changed(build: Build) -> dict[str, Any]:
    """Return the detail of the event that CodeBuild sends for it.

    https://docs.aws.amazon.com/codebuild/latest/userguide/sample-build-notifications.html
    """
    environment = {"environment-variables": build["environment"]["environmentVariables"]}
    return {
        "build-status": build["buildStatus"],
        "project-name": build["projectName"],
        "build-id": build["arn"],
        "additional-information": {"environment": environment},
        "version": "1",
    }
