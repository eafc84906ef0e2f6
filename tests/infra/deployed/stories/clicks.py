"""Stories of visitors' and scripts' requests."""

import re

from tests.infra.deployed.stories.acting import LINK, building, created, handles, running, the_build
from tests.infra.deployed.stories.telling import story
from tests.infra.deployed.system import Deployed
from tests.serving.record_hosts import DoiSystem


@story
def a_click_becomes_a_session(deployment: Deployed) -> None:
    page = deployment.web("ServePages", "GET", f"/v2/{LINK}")
    token = re.findall(r'"token": "([^"]+)"', page["body"])[0]
    assert '"phase": "waiting"' in deployment.stream(f"/build/{LINK}?build_token={token}")
    deployment.settle()
    deployment.ports.service.write(the_build(deployment), "one", "two")
    deployment.settle()
    assert "two" in deployment.stream(f"/build/{LINK}?build_token={token}")
    deployment.ports.service.finish(the_build(deployment))
    deployment.settle()
    assert '"phase": "ready"' in deployment.stream(f"/build/{LINK}?build_token={token}")


@story
def a_stream_without_a_page(deployment: Deployed) -> None:
    assert '"phase": "failed"' in deployment.stream("/build/gh/o")
    deployment.stream(f"/build/{LINK}")
    deployment.settle()
    assert len(handles(deployment)) == 1


@story
def pages_are_opened(deployment: Deployed) -> None:
    launch = running(deployment)
    deployment.ports.service.images.clear()
    building(deployment)
    for path in ("/", "/repo/o/r", f"/sessions/{launch}", "/assets/launch.js", "/badge.svg", "/health", "/versions"):
        assert deployment.web("ServePages", "GET", path)["statusCode"] in (200, 302), path
    deployment.call("Reconcile", {})
    assert "bindery_sessions" in deployment.web("ServePages", "GET", "/metrics")["body"]


@story
def a_doi_is_asked_for_once(deployment: Deployed) -> None:
    with DoiSystem({"10.5281/zenodo.1": "https://zenodo.org/records/1"}) as dois:
        deployment.ports.know_dois(dois)
        for _ in range(2):
            moved = deployment.web("ServePages", "GET", "/v2/doi/10.5281/zenodo.1")
            assert (moved["statusCode"], len(dois.requests)) == (302, 1)


@story
def a_script_launches_looks_and_stops(deployment: Deployed) -> None:
    launch, token = created(deployment)
    deployment.settle()
    deployment.ports.service.write(the_build(deployment), "one")
    deployment.ports.service.finish(the_build(deployment))
    deployment.settle()
    assert '"phase": "ready"' in deployment.web("AnswerApi", "GET", f"/api/launches/{launch}", token=token)["body"]
    assert deployment.web("AnswerApi", "DELETE", f"/api/launches/{launch}", token=token)["statusCode"] == 202
    deployment.settle()
    assert launch not in deployment.ports.sessions.running
    assert deployment.web("AnswerApi", "GET", "/api/repoproviders")["statusCode"] == 200
