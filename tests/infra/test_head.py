"""Tests of HEAD. Each address that answers GET answers HEAD with GET's status and headers, without a body, and starts
no work.
"""

import json

import pytest

from tests.infra.deployed.rights import FUNCTIONS
from tests.infra.deployed.stories.acting import LINK
from tests.infra.deployed.system import Deployed

PATHS = ["/", f"/v2/{LINK}", "/v2/nowhere/o/r", "/repo/o/r", "/assets/launch.js", "/assets/nothing", "/badge.svg"]
PATHS += ["/badge_logo.svg", "/health", "/versions", "/metrics", "/sessions/none"]
REQUEST = {"provider": "gh", "spec": "o/r/HEAD"}


def test_every_get_route_answers_head() -> None:
    routes = [
        (event["Properties"]["Path"], event["Properties"]["Method"])
        for function in FUNCTIONS.values()
        for event in function["Properties"]["Events"].values()
        if event["Type"] == "Api"
    ]
    read = {path for path, method in routes if method == "GET"}
    assert {"/", "/v2/{proxy+}", "/badge.svg", "/badge_logo.svg", "/health"} <= read
    assert {path for path, method in routes if method == "HEAD"} == read
    assert {method for path, method in routes if path not in read} == {"ANY"}


@pytest.mark.parametrize("path", PATHS)
def test_head_answers_as_get_without_a_body(deployment: Deployed, path: str) -> None:
    get, head = (deployment.web("ServePages", method, path) for method in ("GET", "HEAD"))
    assert get["statusCode"] == head["statusCode"]
    assert get.get("multiValueHeaders") == head.get("multiValueHeaders")
    assert head["body"] == ""
    assert not deployment.waiting, "no launch was created"


def test_head_of_a_launch_answers_as_get_without_a_body(deployment: Deployed) -> None:
    created = json.loads(deployment.web("AnswerApi", "POST", "/api/launches", REQUEST)["body"])
    path, token = f"/api/launches/{created['id']}", created["launcher_token"]
    get, head = (deployment.web("AnswerApi", method, path, token=token) for method in ("GET", "HEAD"))
    assert (get["statusCode"], head["statusCode"], head["body"]) == (200, 200, "")


def test_head_on_a_post_route_creates_nothing(deployment: Deployed) -> None:
    answer = deployment.web("AnswerApi", "HEAD", "/api/launches", REQUEST)
    assert (answer["statusCode"], answer["body"]) == (404, "")
    assert not deployment.waiting
