"""Tests of allowed origins. A setting lets in one site and no other. Headers that only a program can send give no
access.
"""

from collections.abc import Iterator

import pytest

from tests.serving.git_http import GitServer
from tests.serving.runtime import STREAM, LocalRuntime

GOOD = "https://good.example"
LAUNCHED, REFUSED = 1, 0


@pytest.fixture(scope="module")
def runtime(git_server: GitServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRuntime]:
    home = tmp_path_factory.mktemp("allowed") / "home"
    allowed = f"{GOOD}, http://other.example:8080"
    with LocalRuntime(home, allowed_private_hosts=git_server.address, allowed_origins=allowed) as runtime:
        yield runtime


@pytest.fixture(scope="module")
def nowhere(plain: str) -> str:
    """Provide a spec for a launch that is created and then fails."""
    return plain.replace("HEAD", "nowhere")


@pytest.mark.parametrize(
    ("origin", "site", "expected"),
    [
        (GOOD, "cross-site", LAUNCHED),
        ("http://other.example:8080", "cross-site", LAUNCHED),
        (GOOD, "", LAUNCHED),
        ("", "", LAUNCHED),
        ("", "none", LAUNCHED),
        ("{own}", "same-origin", LAUNCHED),
        ("", "cross-site", REFUSED),
        ("", "same-site", REFUSED),
        ("{own}", "cross-site", REFUSED),
        ("null", "cross-site", REFUSED),
        ("http://good.example", "cross-site", REFUSED),
        ("https://good.example:8443", "cross-site", REFUSED),
        ("https://good.example.evil.example", "cross-site", REFUSED),
        ("https://evil.example", "none", REFUSED),
        ("https://sub.good.example", "cross-site", REFUSED),
        ("http://localhost:{port}", "", REFUSED),
        ("http://127.0.0.1:1", "same-site", REFUSED),
    ],
)
def test_the_origin_of_a_request_decides_if_it_may_launch(
    runtime: LocalRuntime, nowhere: str, origin: str, site: str, expected: int
) -> None:
    named_origin = origin.format(own=runtime.address, port=runtime.address.rpartition(":")[2])
    headers = {name: value for name, value in (("Origin", named_origin), ("Sec-Fetch-Site", site)) if value}
    before = runtime.launches()
    streamed = runtime.launch(nowhere, headers=headers)
    assert runtime.launches() - before == expected
    assert (str(streamed.last.data.get("status_code")) == "403") is not expected
    order = {"provider": "git", "spec": nowhere}
    answer = runtime.client.post("/api/launches", json=order, headers=headers)
    assert answer.status_code == (201 if expected else 403)
    assert runtime.launches() - before == 2 * expected


def test_an_allowed_site_may_read_its_answers(runtime: LocalRuntime, nowhere: str) -> None:
    request_headers = {
        "Origin": GOOD,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    preflight = runtime.client.options("/api/launches", headers=request_headers)
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "content-type" in preflight.headers["access-control-allow-headers"].lower()
    with runtime.stream(nowhere, headers={"Origin": GOOD}) as stream:
        assert stream.response.headers["access-control-allow-origin"] == "*"
        stream.finish()


def test_no_other_site_may_read_a_page_with_a_build_token(runtime: LocalRuntime, nowhere: str) -> None:
    for origin in (GOOD, "https://evil.example"):
        page = runtime.get(f"/v2/git/{nowhere}", Origin=origin, Sec_Fetch_Site="cross-site")
        assert '"token"' in page.text
        assert not [name for name in page.headers if name.startswith("access-control-")]
        assert page.headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


def test_a_token_for_another_repository_is_refused(runtime: LocalRuntime, nowhere: str, plain: str) -> None:
    before = runtime.launches()
    token = runtime.token(f"git/{plain}", jti="of another")
    refused = runtime.launch(nowhere, headers={"Origin": "https://evil.example"}, build_token=token)
    assert str(refused.last.data["status_code"]) == "403"
    assert runtime.launches() == before


@pytest.mark.parametrize(
    "forged",
    [
        b"X-Forwarded-Host: evil.example",
        b"X-Forwarded-For: 10.0.0.1",
        b"Forwarded: host=evil.example",
        b'x-amzn-request-context: {"identity": {"sourceIp": "10.0.0.1"}}',
    ],
)
def test_forged_proxy_headers_are_ignored(runtime: LocalRuntime, nowhere: str, forged: bytes) -> None:
    """Locally no proxy stands in front, so such headers are only a client's own claim."""
    accept = f"Accept: {STREAM['Accept']}".encode()
    answer = runtime.raw(f"/build/git/{nowhere}".encode(), accept, forged, b"Origin: http://evil.example")
    assert '"status_code": 403' in answer.body
    page = runtime.raw(f"/v2/git/{nowhere}".encode(), forged)
    assert (page.status, "evil.example" in page.body, "10.0.0.1" in page.body) == (200, False, False)
