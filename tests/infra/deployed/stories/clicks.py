"""Stories of visitors' and scripts' requests."""

import re

from tests.infra.deployed.stories.acting import LINK, building, created, handles, running, the_build
from tests.infra.deployed.stories.telling import story
from tests.infra.deployed.system import Deployed
from tests.serving.record_hosts import DoiSystem


@story
def a_click_becomes_a_session(there: Deployed) -> None:
    page = there.web("ServePages", "GET", f"/v2/{LINK}")
    token = re.findall(r'"token": "([^"]+)"', page["body"])[0]
    assert '"phase": "waiting"' in there.stream(f"/build/{LINK}?build_token={token}")
    there.settle()
    there.ports.service.write(the_build(there), "one", "two")
    there.settle()
    assert "two" in there.stream(f"/build/{LINK}?build_token={token}")
    there.ports.service.finish(the_build(there))
    there.settle()
    assert '"phase": "ready"' in there.stream(f"/build/{LINK}?build_token={token}")


@story
def a_stream_without_a_page(there: Deployed) -> None:
    assert '"phase": "failed"' in there.stream("/build/gh/o")
    there.stream(f"/build/{LINK}")
    there.settle()
    assert len(handles(there)) == 1


@story
def pages_are_looked_at(there: Deployed) -> None:
    launch = running(there)
    there.ports.service.images.clear()
    building(there)
    for path in ("/", "/repo/o/r", f"/sessions/{launch}", "/assets/launch.js", "/badge.svg", "/health", "/versions"):
        assert there.web("ServePages", "GET", path)["statusCode"] in (200, 302), path
    there.call("Reconcile", {})
    assert "bindery_sessions" in there.web("ServePages", "GET", "/metrics")["body"]


@story
def a_doi_is_asked_for_once(there: Deployed) -> None:
    with DoiSystem({"10.5281/zenodo.1": "https://zenodo.org/records/1"}) as dois:
        there.ports.know_dois(dois)
        for _ in range(2):
            moved = there.web("ServePages", "GET", "/v2/doi/10.5281/zenodo.1")
            assert (moved["statusCode"], len(dois.asked)) == (302, 1)


@story
def a_script_launches_looks_and_stops(there: Deployed) -> None:
    launch, token = created(there)
    there.settle()
    there.ports.service.write(the_build(there), "one")
    there.ports.service.finish(the_build(there))
    there.settle()
    assert '"phase": "ready"' in there.web("AnswerApi", "GET", f"/api/launches/{launch}", token=token)["body"]
    assert there.web("AnswerApi", "DELETE", f"/api/launches/{launch}", token=token)["statusCode"] == 202
    there.settle()
    assert launch not in there.ports.sessions.running
    assert there.web("AnswerApi", "GET", "/api/repoproviders")["statusCode"] == 200
