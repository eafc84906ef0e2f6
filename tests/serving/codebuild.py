"""CodeBuild's and ECR's interfaces as far as functions ask them, with a test in the place of the build machine."""

import threading
import uuid
from dataclasses import dataclass, field
from typing import Any

from tests.serving.runtime import until

PLACE = "eu-central-1:000000000000"
Build = dict[str, Any]


@dataclass
class CodeBuild:
    """builds: by id, as `BatchGetBuilds` answers; what a test does to one, functions hear when they ask. images: digests that are there."""

    builds: dict[str, Build] = field(default_factory=dict)
    images: set[str] = field(default_factory=set)
    _tokens: dict[str, str] = field(default_factory=dict)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, action: str, asked: dict[str, Any]) -> dict[str, Any]:
        """The body. Raises KeyError for what functions never ask."""
        answers = {
            "StartBuild": self._start,
            "BatchGetBuilds": self._look,
            "StopBuild": self._stop,
            "BatchGetImage": self._find,
        }
        with self._turn:
            return answers[action](asked)

    def wait(self, count: int, seconds: float = 60) -> Build:
        """The newest build, once there are `count`."""
        until(lambda: len(self.builds) >= count, seconds)
        return list(self.builds.values())[-1]

    def finish(self, build: Build, image: str) -> None:
        """The build has made this image and pushed it."""
        self.images.add(image.partition("@")[2])
        build["exportedEnvironmentVariables"] = [{"name": "BINDERY_IMAGE", "value": image}]
        build["buildStatus"] = "SUCCEEDED"

    def _start(self, asked: dict[str, Any]) -> dict[str, Any]:
        token = asked["idempotencyToken"]
        id_ = self._tokens.setdefault(token, f"{asked['projectName']}:{uuid.uuid4()}")
        made = {
            "id": id_,
            "arn": f"arn:aws:codebuild:{PLACE}:build/{id_}",
            "projectName": asked["projectName"],
            "buildStatus": "IN_PROGRESS",
            "environment": {"environmentVariables": asked["environmentVariablesOverride"]},
        }
        return {"build": self.builds.setdefault(id_, made)}

    def _look(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = [self.builds[id_] for id_ in asked["ids"] if id_ in self.builds]
        return {"builds": found, "buildsNotFound": [id_ for id_ in asked["ids"] if id_ not in self.builds]}

    def _stop(self, asked: dict[str, Any]) -> dict[str, Any]:
        build = self.builds[asked["id"]]
        if build["buildStatus"] == "IN_PROGRESS":
            build["buildStatus"] = "STOPPED"
        return {"build": build}

    def _find(self, asked: dict[str, Any]) -> dict[str, Any]:
        wanted = [id_["imageDigest"] for id_ in asked["imageIds"]]
        lost = [{"imageId": {"imageDigest": id_}, "failureCode": "ImageNotFound"} for id_ in wanted]
        return {
            "images": [{"imageId": {"imageDigest": id_}} for id_ in wanted if id_ in self.images],
            "failures": [each for each in lost if each["imageId"]["imageDigest"] not in self.images],  # type: ignore[index]
        }


def variables(build: Build) -> dict[str, str]:
    """What the build was started with."""
    return {each["name"]: each["value"] for each in build["environment"]["environmentVariables"]}


def state_changed(build: Build) -> dict[str, Any]:
    """The event's detail that CodeBuild sends of it.

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
