"""Tests of `/api/launches`, the interface for scripts."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving.gate import Gate
from tests.serving.git_http import GitServer, make_repository
from tests.serving.kernel import Session
from tests.serving.messages import check_readable
from tests.serving.runtime import LocalRuntime, until

Spec = Callable[..., str]
Look = dict[str, Any]  # as it arrives over the network
JSON = {"Content-Type": "application/json"}
PAGE = Path(__file__).parents[2] / "infra" / "docs" / "api.md"


def created(bindery: LocalRuntime, spec: str, **more: bool) -> tuple[str, dict[str, str]]:
    """Create a launch; return its address, and the header that proves its maker's right."""
    answer = bindery.client.post("/api/launches", json={"provider": "git", "spec": spec, **more})
    payload = answer.json()
    assert answer.status_code == 201, payload
    assert answer.headers["cache-control"] == "no-store"
    assert payload["address"] == f"{bindery.address}/api/launches/{payload['id']}"
    return payload["address"], {"Authorization": f"Bearer {payload['launcher_token']}"}


def ended(bindery: LocalRuntime, address: str, permit: dict[str, str]) -> Look:
    def phase() -> str:
        answer = bindery.client.get(address, headers=permit)
        assert answer.status_code == 200
        return str(answer.json()["phase"])

    until(lambda: phase() in ("ready", "failed"), 120)
    state: Look = bindery.client.get(address, headers=permit).json()
    return state


def test_a_launch_is_created_queried_and_stopped(bindery: LocalRuntime, plain: str) -> None:
    address, permit = created(bindery, plain)
    ready = ended(bindery, address, permit)
    assert ready["phase"] == "ready"
    session = Session(ready["url"], ready["token"])
    assert session.run("print(6 * 7)") == "42\n"
    id_ = address.rpartition("/")[2]
    assert any(id_ in mark for mark in bindery.session_marks())

    stopped = bindery.client.delete(address, headers=permit)
    assert stopped.status_code == 202
    until(lambda: id_ not in bindery.session_folders())
    assert not any(id_ in mark for mark in bindery.session_marks())
    assert not session.answers()
    over = bindery.client.get(address, headers=permit).json()
    assert over["phase"] == "failed"
    assert over["failure"]["code"] == "session_ended"
    assert "token" not in over
    assert "whoever launched it stopped it" in over["failure"]["message"]
    assert bindery.client.delete(address, headers=permit).status_code == 202


def test_a_running_launch_is_stopped(bindery: LocalRuntime, git_server: GitServer, spec_of: Spec, gate: Gate) -> None:
    make_repository(git_server.root / "regretted.git", {"postBuild": gate.post_build()})
    address, permit = created(bindery, spec_of("regretted.git"))
    until(lambda: bindery.client.get(address, headers=permit).json()["phase"] == "building")
    assert bindery.client.delete(address, headers=permit).status_code == 202
    over = ended(bindery, address, permit)
    assert over["phase"] == "failed"
    gate.open()
    until(lambda: not bindery.builds())
    assert bindery.total("binderhub_inprogress_launches") == 0


def test_another_clients_launch_is_not_found(bindery: LocalRuntime, plain: str) -> None:
    address, permit = created(bindery, plain, build_only=True)
    _, other = created(bindery, plain, build_only=True)
    nobody = bindery.client.get(f"{bindery.address}/api/launches/{'a' * 26}", headers=other)
    assert nobody.status_code == 404
    wrong: list[dict[str, str]] = [{}, other, {"Authorization": "Bearer"}, {"Authorization": "Basic eDp5"}]
    wrong += [{"Authorization": permit["Authorization"].replace("Bearer", "token")}]
    wrong += [{"Authorization": permit["Authorization"] + "x"}]
    for headers in wrong:
        for method in ("GET", "DELETE"):
            answer = bindery.client.request(method, address, headers=headers)
            assert (answer.status_code, answer.json()) == (404, nobody.json())
    assert ended(bindery, address, permit)["phase"] == "ready"


def test_a_build_only_launch_starts_no_session(bindery: LocalRuntime, plain: str) -> None:
    address, permit = created(bindery, plain, build_only=True)
    ready = ended(bindery, address, permit)
    assert ready["phase"] == "ready"
    assert "token" not in ready
    assert ready["image"]
    assert address.rpartition("/")[2] not in bindery.session_folders()


def test_a_failure_has_its_code_and_message(bindery: LocalRuntime, plain: str) -> None:
    address, permit = created(bindery, plain.replace("HEAD", "nowhere"))
    failure = ended(bindery, address, permit)["failure"]
    assert (failure["code"], failure["status"]) == ("ref_not_found", 404)
    check_readable(failure["message"])


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"provider": "git", "spec": "SPEC"}', {"Content-Type": "text/plain"}),
        (b'{"provider": "git", "spec": "SPEC"}', {"Content-Type": "application/x-www-form-urlencoded"}),
        (b'{"provider": "git", "spec": "SPEC"}', {}),
        (b"{", JSON),
        (b"", JSON),
        (b"[]", JSON),
        (b"null", JSON),
        (b'{"provider": "git"}', JSON),
        (b'{"provider": "git", "spec": 7}', JSON),
        (b'{"provider": "git", "spec": "SPEC", "more": 1}', JSON),
        (b'{"provider": "git", "spec": "SPEC", "build_only": "yes"}', JSON),
        (b'{"provider": "git", "spec": "\\ud800"}', JSON),
        (b'{"provider": "\\u0000", "spec": "\\u0000"}', JSON),
        (b"\xff\xfe", JSON),
        (b"[" * 10_000, JSON),
    ],
)
def test_an_invalid_body_is_refused(bindery: LocalRuntime, plain: str, body: bytes, headers: dict[str, str]) -> None:
    before = bindery.launches()
    answer = bindery.client.post("/api/launches", content=body.replace(b"SPEC", plain.encode()), headers=headers)
    assert 400 <= answer.status_code < 500, answer.text
    check_readable(answer.json()["message"])
    assert bindery.launches() == before


def test_a_body_that_is_too_large_is_refused(bindery: LocalRuntime) -> None:
    answer = bindery.client.post("/api/launches", content=b" " * 1_000_000, headers=JSON)
    assert answer.status_code == 413
    chunked = bindery.client.post("/api/launches", content=iter([b" " * 50_000] * 20), headers=JSON)
    assert chunked.status_code == 413


def test_other_sites_may_read_and_not_launch(bindery: LocalRuntime, plain: str) -> None:
    before = bindery.launches()
    body = {"provider": "git", "spec": plain}
    foreign: list[dict[str, str]] = [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": bindery.address.replace("127.0.0.1", "localhost")},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ]
    for headers in foreign:
        answer = bindery.client.post("/api/launches", json=body, headers=headers)
        assert answer.status_code == 403
        assert answer.json()["code"] == "cross_site"
    assert bindery.launches() == before
    answer = bindery.client.get("/api/repoproviders", headers={"Origin": "https://docs.example"})
    assert answer.headers["access-control-allow-origin"] == "*"


def test_preflight_requests_are_answered(bindery: LocalRuntime, plain: str) -> None:
    asking = {"Origin": "https://docs.example", "Access-Control-Request-Method": "GET"}
    for path in ("/api/launches", f"/build/git/{plain}"):
        answer = bindery.client.options(path, headers=asking)
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-allow-headers"]


def test_unknown_methods_and_paths_are_refused(bindery: LocalRuntime) -> None:
    for method, path in [
        ("PUT", "/api/launches"),
        ("GET", "/api/launches"),
        ("DELETE", "/api/launches"),
        ("PATCH", "/api/launches/x"),
        ("GET", "/api/nothing"),
        ("GET", "/api/"),
        ("POST", "/v2/git/x/HEAD"),
        ("POST", "/build/git/x/HEAD"),
        ("TRACE", "/"),
        ("GET", "/nothing"),
    ]:
        answer = bindery.client.request(method, path)
        assert answer.status_code in (404, 405), (method, path, answer.status_code)


def test_the_request_of_the_readme_works_with_any_client(bindery: LocalRuntime, plain: str) -> None:
    """A request as curl sends it works: without a browser's headers, and with another user agent."""
    with httpx.Client(trust_env=False, headers={"User-Agent": "curl/8.5.0", "Accept": "*/*"}) as client:
        answer = client.post(
            f"{bindery.address}/api/launches", json={"provider": "git", "spec": plain, "build_only": True}
        )
    assert answer.status_code == 201


def test_a_pasted_address_is_detected_with_its_link(bindery: LocalRuntime) -> None:
    url = "https://github.com/o/r/blob/v1.0/notebooks/a%20(1)%2B.ipynb?plain=1#L3"
    answer = bindery.client.get("/api/detect", params={"url": url})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")
    payload = answer.json()
    assert payload == {
        "provider": "gh",
        "repo": "o/r",
        "spec": "o/r/v1.0",
        "ref": "v1.0",
        "path": "notebooks/a (1)+.ipynb",
        "kind": "file",
        "link": f"{bindery.address}/v2/gh/o/r/v1.0?labpath=notebooks%2Fa+%281%29%2B.ipynb",
    }
    page = bindery.client.get(payload["link"])
    assert page.status_code == 200
    assert "doc/tree/notebooks/a%20(1)+.ipynb" in page.text


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 400, "bad_request"),
        ("?url=", 400, "bad_request"),
        ("?url=hello", 404, "unknown_address"),
        ("?url=https%3A%2F%2Fmybinder.org%2Fv2%2Fgl%2Fgroup%2Fproject%2FHEAD", 400, "bad_spec"),
        ("?url=%ff%00", 404, "unknown_address"),
    ],
)
def test_an_unknown_address_is_refused_with_its_reason(
    bindery: LocalRuntime, query: str, status: int, code: str
) -> None:
    answer = bindery.get(f"/api/detect{query}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    check_readable(answer.json()["message"])


def follow(bindery: LocalRuntime, spec: str) -> "subprocess.CompletedProcess[str]":
    """Run the script of infra/docs/api.md, with this Bindery's address and another spec."""
    (script,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    there = script.replace("http://127.0.0.1:8585", bindery.address)
    script_here = there.replace(
        '"provider": "gh", "spec": "binder-examples/requirements/HEAD"', f'"provider": "git", "spec": "{spec}"'
    )
    assert script_here.count(spec) == 1
    return subprocess.run([sys.executable, "-c", script_here], capture_output=True, text=True, timeout=120)


def test_the_script_of_the_docs_page_ends_with_the_session_address_or_the_reason(
    bindery: LocalRuntime, plain: str
) -> None:
    ready = follow(bindery, plain)
    assert ready.stderr == ""
    url, _, token = ready.stdout.splitlines()[-1].partition("?token=")
    assert Session(url, token).run("print(6 * 7)") == "42\n"
    failed = follow(bindery, plain.replace("HEAD", "nowhere"))
    assert failed.stderr == ""
    assert "there is no branch, tag or commit called nowhere" in failed.stdout.splitlines()[-1]
