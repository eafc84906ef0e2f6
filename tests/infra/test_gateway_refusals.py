"""Tests of requests that are refused before any function reads them, and of the messages for them."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from bindery.web.body_limit import LARGEST_BODY
from bindery_local.http_server import NO_ROUTE
from tests.infra.deployed.recorded import Recorder
from tests.infra.deployed.rights import RESOURCES, TEMPLATE
from tests.infra.deployed.system import deployed
from tests.serving.messages import check_readable

API: Mapping[str, Any] = RESOURCES["Api"]["Properties"]
RESPONSES: Mapping[str, Any] = API["GatewayResponses"]
KINDS = [
    "MISSING_AUTHENTICATION_TOKEN",
    "REQUEST_TOO_LARGE",
    "THROTTLED",
    "DEFAULT_4XX",
    "DEFAULT_5XX",
]


@pytest.mark.parametrize("kind", KINDS)
def test_gateway_refusals_are_readable_and_open_to_scripts_of_other_sites(kind: str) -> None:
    message = json.loads(RESPONSES[kind]["ResponseTemplates"]["application/json"])["message"]
    check_readable(message if message.endswith(".") else f"{message}.")  # one ends in a link
    assert RESPONSES[kind]["ResponseParameters"]["Headers"]["Access-Control-Allow-Origin"] == "'*'"


def test_gateway_refusals_have_the_usual_http_statuses() -> None:
    """API Gateway's own statuses for the first three kinds are 403, 413 and 429. A missing route has 404 instead; the
    others keep their status.
    """
    statuses = {kind: RESPONSES[kind].get("StatusCode") for kind in KINDS}
    assert statuses == dict(zip(KINDS, (404, 413, None, None, None), strict=True))


def test_an_unknown_address_has_the_same_message_in_the_local_runtime() -> None:
    template = RESPONSES["MISSING_AUTHENTICATION_TOKEN"]["ResponseTemplates"]["application/json"]
    assert json.loads(template) == NO_ROUTE


def test_every_route_limits_bursts_of_requests() -> None:
    every, _ = API["MethodSettings"]
    assert (every["ResourcePath"], every["HttpMethod"]) == ("/*", "*")
    limits = [every["ThrottlingRateLimit"]["Ref"], every["ThrottlingBurstLimit"]["Ref"]]
    assert all(TEMPLATE["Parameters"][name]["Default"] > 0 for name in limits)


def test_metrics_can_be_requested_once_a_second_at_most() -> None:
    _, metrics = API["MethodSettings"]
    assert (metrics["ResourcePath"], metrics["HttpMethod"]) == ("/~1metrics", "GET")
    assert (metrics["ThrottlingRateLimit"], metrics["ThrottlingBurstLimit"]) == (1, 5)


def test_the_access_log_contains_no_query_and_no_header() -> None:
    for each in API["MethodSettings"]:
        assert (each["LoggingLevel"], each["DataTraceEnabled"]) == ("OFF", False)
    fields = json.loads(API["AccessLogSetting"]["Format"])
    assert "$context.requestId" in fields.values()
    queries = ("querystring", "input", "header", "authorizer", "integration.requestParameters", "protocol")
    assert [value for value in fields.values() if any(word in value.lower() for word in queries)] == []
    assert fields["path"] == "$context.path"


def test_the_api_is_created_after_the_account_role_for_access_logs() -> None:
    assert RESOURCES["Api"]["Metadata"]["After"] == {"If": ["MakesAccessLogRole", {"Ref": "AccessLogAccount"}, ""]}
    assert RESOURCES["AccessLogAccount"]["Properties"]["CloudWatchRoleArn"] == {"GetAtt": "ApiLogsRole.Arn"}


@pytest.mark.parametrize(
    ("function", "method", "path"), [("AnswerApi", "POST", "/api/launches"), ("ServePages", "GET", "/")]
)
def test_a_deployed_function_refuses_a_body_over_our_limit(function: str, method: str, path: str) -> None:
    with deployed(Recorder()) as deployment:
        fits = {"provider": "gh", "spec": "o/r/HEAD", "x": "漢" * (LARGEST_BODY // 6 - 100)}
        assert deployment.web(function, method, path, fits)["statusCode"] in (200, 400)
        over = deployment.web(function, method, path, {**fits, "x": "漢" * (LARGEST_BODY // 6)})
        assert over["statusCode"] == 413
        assert json.loads(over["body"])["code"] == "request_too_large"
        assert not deployment.waiting


def test_every_route_of_the_template_belongs_to_the_api() -> None:
    routes = read_routes()
    assert routes
    assert {event["RestApiId"]["Ref"] for event in routes} == {"Api"}


def read_routes() -> list[Mapping[str, Any]]:
    events = [
        event for resource in RESOURCES.values() for event in resource.get("Properties", {}).get("Events", {}).values()
    ]
    return [event["Properties"] for event in events if event["Type"] == "Api"]
