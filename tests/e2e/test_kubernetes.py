"""Tests of a Dockerfile's way to a session on a real cluster, reached through a real Gateway on its own host name."""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Page

from tests.cluster.shipped import Shipped
from tests.containers import configure
from tests.serving.browser import chromium
from tests.serving.git_http import GitServer, make_repository
from tests.serving.kernel import Session
from tests.serving.names import localhost_names, session_of
from tests.serving.runtime import ROOT, LocalRuntime, until

__all__ = ["localhost_names"]
pytestmark = pytest.mark.usefixtures("localhost_names")

ADMINISTRATOR = "the administrator's"
ORDER = ["waiting", "fetching", "building", "pushing", "built", "launching", "ready"]


@pytest.fixture(scope="module")
def settings(shipped: Shipped, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with pytest.MonkeyPatch.context() as environment:
        configure(tmp_path_factory.mktemp("containers"), environment, shipped.cluster.registry)
        yield {**shipped.settings, "cull_seconds": "1", "reconcile_seconds": "2"}


@pytest.fixture(scope="module")
def bindery(
    settings: dict[str, str], git_server: GitServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalRuntime]:
    home = tmp_path_factory.mktemp("on-cluster") / "home"
    with LocalRuntime(home, allowed_private_hosts=git_server.address, settings=settings) as runtime:
        yield runtime


@pytest.fixture(scope="module")
def spec(git_server: GitServer, shipped: Shipped) -> str:
    """Provide the spec of a repository with a Dockerfile."""
    dockerfile = f"FROM {shipped.cluster.base_image}\nCOPY --chown=1000 . /home/jovyan\n"
    make_repository(git_server.root / "pod.git", {"Dockerfile": dockerfile, "hello.txt": "hello from the repository\n"})
    return f"{quote(git_server.url('pod.git'), safe='')}/HEAD"


@pytest.fixture
def home(bindery: LocalRuntime, spec: str, tmp_path: Path) -> Path:
    """Provide the home folder of another runtime that has the repository's environment already, and no launch or session.

    An image is in the registry, so the environment's record is all that a runtime needs of it.
    """
    assert bindery.launch(spec, build_only="true").last.phase == "ready"
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with (
        closing(sqlite3.connect(bindery.home / "table.sqlite")) as table,
        closing(sqlite3.connect(home / "table.sqlite")) as copy,
    ):
        table.backup(copy)
        with copy:
            copy.execute("DELETE FROM items WHERE sk != 'environment'")
    return home


def test_a_dockerfile_is_built_and_its_session_is_used_through_the_gateway(
    bindery: LocalRuntime, spec: str, shipped: Shipped
) -> None:
    launched = bindery.launch(spec)
    assert launched.phases == ORDER, launched.text
    ready = launched.last.data
    assert ready["url"] == f"http://{session_of(ready)}.sessions.localhost:{shipped.cluster.gateway_port}/"
    assert f"{shipped.cluster.registry}/" in ready["image"]
    assert "@sha256:" in ready["image"]
    session = Session.of(ready)
    assert session.run("print(open('hello.txt').read(), end='')") == "hello from the repository\n"
    assert session.run("import os; print(os.getuid(), os.environ['BINDER_REQUEST'])") == f"1000 v2/git/{spec}\n"

    again = bindery.launch(spec)
    assert again.phases == ["built", "launching", "ready"]
    assert again.last.data["image"] == ready["image"]
    assert not Session(session.url, again.last.data["token"]).answers()


def test_the_start_message_names_cluster_namespace_and_gateway(bindery: LocalRuntime, shipped: Shipped) -> None:
    line = bindery.line()
    assert line.startswith("Sessions are Pods in namespace bindery-sessions of https://127.0.0.1:")
    assert line.endswith(
        f"through Gateway sessions at http://<id>.sessions.localhost:{shipped.cluster.gateway_port}/\n"
    )


def test_a_session_cannot_read_another_visitors_session(bindery: LocalRuntime, spec: str, tmp_path: Path) -> None:
    own_session, other_session = (Session.of(bindery.launch(spec).last.data) for _ in range(2))
    with chromium(tmp_path, "*.sessions.localhost") as browser:
        page = browser.new_context().new_page()
        for session in (other_session, own_session):  # both have left their cookies in this browser
            page.goto(f"{session.url}lab?token={session.token}")
            assert _fetched(page, f"{session.url}api/contents") == 200
        assert _fetched(page, f"{other_session.url}api/contents") == "TypeError"
        assert _socket(page, other_session) == "refused"
        assert _socket(page, own_session) == "open"
        names = {cookie["domain"] for cookie in page.context.cookies()}
        assert names == {httpx.URL(session.url).host for session in (own_session, other_session)}
    with httpx.Client(trust_env=False) as client:
        assert (
            client.get(
                f"{other_session.url}api/contents", headers={"Authorization": f"token {own_session.token}"}
            ).status_code
            == 403
        )


def _fetched(page: Page, url: str) -> object:
    ask = "url => fetch(url, {credentials: 'include'}).then(answer => answer.status, error => error.name)"
    return page.evaluate(ask, url)


def _socket(page: Page, session: Session) -> object:
    """Return the result of a page's attempt to open a websocket to a session's kernel, with the browser's cookies."""
    kernel = session.ask("api/kernels", "POST").raise_for_status().json()["id"]
    url = f"{session.url.replace('http', 'ws', 1)}api/kernels/{kernel}/channels"
    return page.evaluate(
        """url => new Promise(told => {
            const socket = new WebSocket(url)
            socket.onopen = () => told('open')
            socket.onerror = () => told('refused')
        })""",
        url,
    )


def test_an_idle_session_ends_and_leaves_no_objects_on_the_cluster(
    settings: dict[str, str], git_server: GitServer, spec: str, shipped: Shipped, home: Path
) -> None:
    words = {**settings, "idle_seconds": "3"}
    with LocalRuntime(home, allowed_private_hosts=git_server.address, settings=words) as bindery:
        ready = bindery.launch(spec).last.data
        until(lambda: not shipped.objects(session_of(ready)), 60)
        over = httpx.get(f"{ready['url']}lab/tree/hello.txt", trust_env=False)
        assert over.status_code == 410
        (again,) = re.findall(r'href="[^"]*(/sessions/\w+)"', over.text)
        assert bindery.get(again).headers["location"] == f"/v2/git/{spec}"


def test_one_ctrl_c_ends_every_started_session(
    settings: dict[str, str], git_server: GitServer, spec: str, shipped: Shipped, home: Path
) -> None:
    with LocalRuntime(home, allowed_private_hosts=git_server.address, settings=settings) as bindery:
        ready = bindery.launch(spec).last.data
        assert len(shipped.objects(session_of(ready))) == 4
        bindery.stop()
        assert not shipped.pods(session_of(ready))
        until(lambda: not shipped.objects(session_of(ready)), 30)


def test_sessions_survive_a_crash_of_the_control_plane(
    settings: dict[str, str], git_server: GitServer, spec: str, home: Path
) -> None:
    with LocalRuntime(home, allowed_private_hosts=git_server.address, settings=settings) as bindery:
        session = Session.of(bindery.launch(spec).last.data)
        bindery.kill9()
        assert session.answers()
        bindery.start()
        assert session.answers()
        assert session.run("print(6 * 7)") == "42\n"


def test_the_reason_of_a_delayed_session_start_is_shown_during_the_wait(
    settings: dict[str, str], git_server: GitServer, spec: str, home: Path
) -> None:
    words = {**settings, "node_selector": '{"pool": "nowhere"}', "start_seconds": "12"}
    with LocalRuntime(home, allowed_private_hosts=git_server.address, settings=words) as bindery:
        launched = bindery.launch(spec)
        waits = "The cluster has no room for the session yet: no node has the labels that are asked for. "
        assert f"{waits}Waiting for it to make some...\n" in launched.text
        assert launched.last.phase == "failed"
        assert "no node has the labels that are asked for. Launch again in a while" in launched.last.message


@pytest.mark.parametrize(
    ("changed", "missing"),
    [
        (
            {"namespace": "elsewhere", "kubeconfig": ADMINISTRATOR},
            "There is no namespace elsewhere at https://127.0.0.1:",
        ),
        (
            {"gateway": "another", "kubeconfig": ADMINISTRATOR},
            "There is no Gateway another in namespace bindery-sessions",
        ),
        ({"namespace": "elsewhere"}, "Bindery's account may not get namespaces"),
        ({"gateway": "another"}, "Bindery's account may not get gateways"),
        ({"kubeconfig": "/nowhere/config"}, "BINDERY_KUBECONFIG, /nowhere/config, cannot be used: "),
    ],
)
def test_missing_cluster_objects_are_reported_at_the_start(
    settings: dict[str, str], shipped: Shipped, tmp_path: Path, changed: dict[str, str], missing: str
) -> None:
    if changed.get("kubeconfig") == ADMINISTRATOR:  # only the administrator may look for missing objects
        changed = {**changed, "kubeconfig": str(shipped.cluster.kubeconfig)}
    variables = {f"BINDERY_{name.upper()}": value for name, value in {**settings, **changed}.items()}
    environment = {**os.environ, **variables, "BINDERY_HOME": str(tmp_path / "home"), "BINDERY_PORT": "0"}
    ended = subprocess.run(
        [sys.executable, "-m", "bindery_local"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1
    assert missing in ended.stderr
    assert "BINDERY_" in ended.stderr, "what to set"
    assert "Traceback" not in ended.stderr


def test_a_launch_survives_a_short_outage_of_the_api_server(bindery: LocalRuntime, spec: str, shipped: Shipped) -> None:
    shipped.cluster.stop_api_server()
    with bindery.stream(spec) as stream:
        try:
            again = next(event for event in stream.listen() if event.message.startswith("Launch attempt 1 failed"))
        finally:
            shipped.cluster.start_api_server()
        assert again.phase == "launching"
        stream.finish()
    assert stream.last.phase == "ready", stream.text
    assert Session.of(stream.last.data).answers()
