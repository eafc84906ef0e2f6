"""Tests of the pages that browsers and monitors request over HTTP."""

import json
import re
from html import unescape
from urllib.parse import quote

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.serving.runtime import LocalRuntime, until

PAGE_DATA = re.compile(r'<script type="application/json" id="page-data">(.*?)</script>', re.DOTALL)


def test_the_health_answer_has_the_form_that_monitors_expect(bindery: LocalRuntime) -> None:
    answer = bindery.get("/health")
    assert answer.status_code == 200
    payload = answer.json()
    assert payload["ok"] is True
    assert all(set(check) == {"service", "ok"} and check["ok"] is True for check in payload["checks"])
    assert payload["checks"]


def test_versions_names_the_running_versions(bindery: LocalRuntime) -> None:
    payload = bindery.get("/versions").json()
    assert set(payload) == {"builder_info", "binderhub", "builder"}


def test_metrics_can_be_read_by_prometheus(bindery: LocalRuntime, plain: str) -> None:
    bindery.launch(plain, build_only="true")
    until(lambda: bindery.total("bindery_launches_ready_total") >= 1)
    answer = bindery.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    kinds = {family.name: family.type for family in text_string_to_metric_families(answer.text)}
    assert kinds["binderhub_launch_count"] == "counter"
    assert kinds["bindery_launches_ready"] == "counter"
    assert kinds["binderhub_launch_time_seconds"] == "histogram"
    assert kinds["binderhub_build_count"] == "counter"
    assert kinds["binderhub_build_time_seconds"] == "histogram"
    assert kinds["binderhub_inprogress_launches"] == kinds["binderhub_inprogress_builds"] == "gauge"
    ready = bindery.total("binderhub_launch_count_total", status="success", provider="git")
    attempts = [bindery.total("bindery_launches_ready_total", attempt=attempt) for attempt in ("first", "later")]
    assert sum(attempts) == ready >= attempts[0] >= 1


def test_the_providers_are_listed_in_the_form_that_clients_expect(bindery: LocalRuntime) -> None:
    providers = {each["id"]: each for each in bindery.get("/api/repoproviders").json()}
    assert {"gh", "git"} <= providers.keys()
    for each in providers.values():
        assert each["displayName"]
        assert re.compile(each["spec"]["validateRegex"].replace("(?<", "(?P<"))
        assert {"label", "placeholder", "urlEncode"} <= each["repo"].keys()
        assert "enabled" in each["ref"]
    assert providers["git"]["repo"]["urlEncode"] is True
    assert "regex" in providers["gh"]["detect"]


@pytest.mark.parametrize("path", ["/badge.svg", "/badge_logo.svg", "/assets/badge.svg", "/assets/images/badge.svg"])
def test_badges_are_svg_images(bindery: LocalRuntime, path: str) -> None:
    answer = bindery.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert answer.text.lstrip().startswith("<svg")


@pytest.mark.parametrize("path", ["/assets/../site.py", "/assets/%2e%2e/site.py", "/assets/nothing", "/assets/.%2fx"])
def test_no_other_files_are_served(bindery: LocalRuntime, path: str) -> None:
    answer = bindery.raw(path.encode())
    assert answer.status == 404
    assert "import" not in answer.body


@pytest.mark.parametrize(
    ("path", "to"),
    [
        ("/repo/o/r", "/v2/gh/o/r/master"),
        ("/repo/o/r/", "/v2/gh/o/r/master"),
        ("/repo/o/r/a/b%20c.ipynb", "/v2/gh/o/r/master?urlpath="),
    ],
)
def test_the_oldest_links_redirect_to_launch_pages(bindery: LocalRuntime, path: str, to: str) -> None:
    answer = bindery.raw(path.encode())
    assert answer.status == 302
    assert answer.headers["location"].startswith(to)
    assert bindery.get(answer.headers["location"]).status_code == 200


@pytest.mark.parametrize("path", ["/repo/o", "/repo//evil.example", "/repo/o%0d%0aX-Evil:%201/r", "/repo/%2f%2fevil/r"])
def test_the_oldest_links_redirect_to_no_other_site(bindery: LocalRuntime, path: str) -> None:
    answer = bindery.raw(path.encode())
    assert answer.status in (302, 400, 404), answer.body
    assert answer.headers.get("location", "/v2/gh/").startswith("/v2/gh/")
    assert "x-evil" not in answer.headers


def test_the_launch_page_names_its_repository_and_is_not_cached(bindery: LocalRuntime, plain: str) -> None:
    answer = bindery.get(f"/v2/git/{plain}")
    assert answer.status_code == 200
    title = re.search(r'<meta property="og:title" content="([^"]*)"', answer.text)
    assert title
    assert unescape(title[1]) == f"Git repository: {plain}"
    assert "no-store" in answer.headers["cache-control"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    other = bindery.get(f"/v2/git/{plain}")
    assert page_data(answer.text)["token"] != page_data(other.text)["token"]


def test_the_build_token_of_a_page_launches(bindery: LocalRuntime, plain: str) -> None:
    page = page_data(bindery.get(f"/v2/git/{plain}").text)
    assert page["build"] == f"/build/git/{plain}"
    launched = bindery.launch(plain, build_token=str(page["token"]), build_only="true")
    assert launched.last.phase == "ready"


def test_the_address_of_an_ended_session_redirects_to_its_launch_page(bindery: LocalRuntime, plain: str) -> None:
    launch = bindery.launch(plain, build_only="true").last.id.partition(":")[0]
    before = bindery.launches()
    answer = bindery.raw(f"/sessions/{launch}".encode())
    assert answer.status == 302
    assert answer.headers["location"] == f"/v2/git/{plain}"
    assert answer.headers["cache-control"] == "no-store"
    page = bindery.get(answer.headers["location"], Sec_Fetch_Site="cross-site")
    assert page_data(page.text)["autostart"] is False, "the session's own pages may have sent the visitor"
    assert bindery.launches() == before


@pytest.mark.parametrize(
    "session", ["nobody", "A", "a" * 41, "a/b", "%2e%2e%2fhealth", "a%0d%0aX-Evil:%201", "<b>", "%ff"]
)
def test_an_unknown_session_is_reported_as_unknown(bindery: LocalRuntime, session: str) -> None:
    answer = bindery.raw(f"/sessions/{session}".encode())
    assert answer.status == 404
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "Nothing is known here of this session" in answer.body
    assert "<b>" not in answer.body
    assert not answer.headers.keys() & {"location", "x-evil"}


def test_markup_in_a_link_stays_text(bindery: LocalRuntime) -> None:
    spec = quote("http://127.0.0.1/</script><script>alert(1)</script>", safe="") + "/HEAD"
    answer = bindery.get(f"/v2/git/{spec}?urlpath=%3C/script%3E%3Cscript%3Ealert(1)")
    assert "<script>alert" not in answer.text


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("urlpath=lab/tree/a.ipynb", "lab/tree/a.ipynb"),
        ("urlpath=/lab", "lab"),
        ("labpath=a/b.ipynb", "doc/tree/a/b.ipynb"),
        ("filepath=a.ipynb", "tree/a.ipynb"),
        (
            "urlpath=git-pull%3Frepo%3Dhttps%253A%252F%252Fgithub.com%252Fo%252Fr%26urlpath%3Dlab%252Ftree%252Fr",
            "git-pull?repo=https%3A%2F%2Fgithub.com%2Fo%2Fr&urlpath=lab%2Ftree%2Fr",
        ),
        ("urlpath=git-pull%3Frepo%3Dhttps://github.com/o/r", "git-pull?repo=https://github.com/o/r"),
    ],
)
def test_a_path_in_the_session_is_passed_to_the_page(bindery: LocalRuntime, plain: str, query: str, path: str) -> None:
    assert page_data(bindery.get(f"/v2/git/{plain}?{query}").text)["path"] == path


@pytest.mark.parametrize(
    "urlpath",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        " https://evil.example",
        "\thttps://evil.example",
        "ht\ntps://evil.example",
        "../../x",
        "a/../../x",
        "%2e%2e/x",
        ".%2e/x",
        "///evil.example",
        "user@evil.example",
        "\x00//evil.example",
    ],
)
def test_a_path_that_leaves_the_session_is_refused(bindery: LocalRuntime, plain: str, urlpath: str) -> None:
    answer = bindery.get(f"/v2/git/{plain}?urlpath={quote(urlpath, safe='')}")
    assert answer.status_code == 400
    assert "token" not in answer.text
    assert "urlpath" in answer.text


def page_data(page: str) -> dict[str, object]:
    """Return the settings that a launch page hands to its script."""
    data = PAGE_DATA.search(page)
    assert data
    read: dict[str, object] = json.loads(unescape(data[1]))
    return read
