"""`stream_launch` behind the real Web Adapter, started as Lambda starts it, on a Runtime API and a table shared with the test.

API Gateway itself is not part of the tests. A REST API's `path` keeps the client's encoding by its documentation; no test
proves it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from bindery.adapters.clock import SystemClock
from bindery.domain.launch import LAUNCHING, READY, WAITING, Event, Launch, Phase, Stage
from bindery.domain.messages import ResolveRequested
from bindery.domain.sessions import Session, SessionState
from bindery.domain.tokens import Tokens, launch_id
from bindery.ports.table import Item
from bindery.state.launches import Launches
from bindery.web.base_url import read_link
from bindery_local.sqlite_table import SqliteTable
from tests.serving.lambda_function import of_this_checkout, web_function
from tests.serving.on_sqlite import BINDERY_LOCAL, ON_SQLITE
from tests.serving.rest_event import CLIENT, rest_event
from tests.serving.runtime import STREAM, Stream, until
from tests.serving.runtime_api import RuntimeApi
from tests.serving.sqs import Queues

pytestmark = pytest.mark.timeout(900)  # the adapter may have to be built first
SECRET = "a secret of the tests, 32 characters or more"
PATH = "gh/o/r/HEAD"
FOUND = Event(phase=Phase.BUILT, message="Found built image, launching...\n")
FOR_EVER = 840
# Comments come every 25 seconds, which is too long for a test to wait.
OFTEN = "import bindery.web.stream.app\nbindery.web.stream.app.KEEPALIVE_SECONDS = 1\n"


@dataclass
class Deployed:
    """The function, its API, its queues and its table. pid: of its process."""

    api: RuntimeApi
    queues: Queues
    launches: Launches
    pid: int

    def ask(self, target: str, method: str = "GET", **headers: str) -> httpx.Response:
        """Send a request. headers: `Accept` has a default."""
        header_fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.api.invoke(rest_event(target, method, {**STREAM, **header_fields}))

    def watch(self, jti: str, path: str = PATH, **headers: str) -> Stream:
        """Return the stream of the launch that the page with this token makes."""
        token = Tokens(SECRET).build_token(path, "https://hub.example", jti, time.time() + 300)
        return Stream(self.ask(f"/build/{path}?build_token={token}", **headers), time.monotonic() + 60)

    def launch(self, jti: str) -> Launch:
        return self.launches.get(launch_id(jti))

    def enter(self, jti: str, stage: Stage, *events: Event) -> None:
        """Enter a stage, as the workers do."""
        self.launches.change(launch_id(jti), lambda now: now.entered(stage, time.time(), *events, session=now.id))

    def make_ready(self, jti: str) -> None:
        """Record a session, and the launch's end."""
        session = Session(
            id=launch_id(jti),
            owner="o",
            token="t" * 48,
            repo_url="u",
            state=SessionState.RUNNING,
            created_at=time.time(),
            url="https://s.example/",
        )
        self.launches.table.put(Item(f"session#{session.id}", "session", session.model_dump(mode="json")))
        self.enter(jti, Stage.READY, LAUNCHING, READY)


Deploy = Callable[..., AbstractContextManager[Deployed]]


@pytest.fixture(scope="module")
def deploy(adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Deploy:
    @contextmanager
    def deploy(faster: str = "", stream_seconds: float = FOR_EVER) -> Iterator[Deployed]:
        folder = tmp_path_factory.mktemp("function")
        table = SqliteTable(folder / "table.sqlite")
        settings = {
            "BINDERY_HOME": str(folder),
            "BINDERY_SECRET": SECRET,
            "BINDERY_STREAM_SECONDS": str(stream_seconds),
        }
        with RuntimeApi() as api, Queues() as queues:
            package = of_this_checkout("StreamLaunch", ON_SQLITE + faster, **settings, **queues.variables)
            package = replace(package, packages=(*package.packages, BINDERY_LOCAL))
            with web_function(package, folder, api, adapter) as process:
                yield Deployed(api, queues, Launches(table, SystemClock()), process.pid)

    return deploy


@pytest.fixture(scope="module")
def function(deploy: Deploy) -> Iterator[Deployed]:
    with deploy() as deployed:
        yield deployed


def test_events_are_streamed_during_the_call_and_end_with_the_launch(function: Deployed) -> None:
    idle = function.api.idle
    stream = function.watch("first")
    assert function.queues.sent[-1] == (
        "resolve",
        ResolveRequested(launch=launch_id("first"), step=0).model_dump_json(),
    )
    function.enter("first", Stage.BUILDING, WAITING)
    assert stream.wait_for("waiting").message == WAITING.message
    assert function.api.idle == idle, "the function is done, although its launch is not"
    function.make_ready("first")
    ready = stream.finish().last
    assert stream.phases == ["waiting", "launching", "ready"]
    assert (ready.data["url"], ready.data["token"]) == ("https://s.example/", "t" * 48)
    assert ready.data["binder_launch_host"] == "https://hub.example/"
    until(lambda: function.api.idle == idle + 1)


def test_one_instance_serves_several_streams_in_turn(function: Deployed) -> None:
    for jti in ("one", "two"):
        stream = function.watch(jti)
        function.make_ready(jti)
        assert stream.finish().last.phase == "ready"
    assert Path(f"/proc/{function.pid}").exists()


@pytest.mark.parametrize(
    "path",
    [
        "git/https%3A%2F%2Fgit.example%2Fo%2Fr/HEAD",
        "git/https%3a%2f%2fgit.example%2fo%2fr.git/feature%2Fx",
        "gh/o/r.x_y-1/v1.0%2Brc1",
    ],
)
def test_percent_encoding_of_a_link_is_preserved(function: Deployed, path: str) -> None:
    link = read_link(f"/build/{path}", "/build/")  # pages make tokens for a link's one spelling
    path = f"{link.provider}/{link.spec}"
    stream = function.watch(path, path)
    assert function.launch(path).spec == link.spec
    function.make_ready(path)
    assert stream.finish().last.phase == "ready"


@pytest.mark.parametrize(
    "spec",
    ["o%20x/r/HEAD", "b%C3%BCcher/r/HEAD", "100%2525/r/HEAD", "o/r/a%3Fb%23c", "o/r/~!$&'()*+,;=:@"],
)
def test_an_invalid_link_is_passed_on_unchanged(function: Deployed, spec: str) -> None:
    (failed,) = function.watch(spec, f"gh/{spec}").finish().events
    assert failed.phase == "failed"
    assert "permit to launch" not in failed.message, "the token is for the link as it was"


def test_the_client_address_is_that_of_api_gateway(function: Deployed) -> None:
    claims = {"X_Amzn_Request_Context": '{"identity": {"sourceIp": "192.0.2.1"}}', "X_Forwarded_For": "192.0.2.1"}
    stream = function.watch("claims", **claims)
    function.make_ready("claims")
    assert stream.finish().last.data["binder_client_ip"] == CLIENT


@pytest.mark.parametrize(
    ("method", "accept", "status", "head"),
    [
        ("GET", "text/event-stream", 200, {"content-type": "text/event-stream; charset=utf-8"}),
        ("HEAD", "text/event-stream", 204, {}),
        ("OPTIONS", "*/*", 204, {"access-control-allow-headers": "authorization, last-event-id, x-xsrftoken"}),
        ("POST", "text/event-stream", 405, {"allow": "GET"}),
        ("GET", "text/html", 406, {"content-type": "text/plain; charset=utf-8"}),
    ],
)
def test_status_and_headers_are_sent_first(
    function: Deployed, method: str, accept: str, status: int, head: dict[str, str]
) -> None:
    answer = function.ask("/build/nowhere/x/y", method, Accept=accept)
    assert answer.status_code == status
    expected = {"access-control-allow-origin": "*", "cache-control": "no-store", **head}
    assert {name: answer.headers.get(name) for name in expected} == expected
    body = answer.read().decode()
    assert ("nowhere" in body) == (status == 200)
    assert bool(body) == (status != 204)


def test_a_long_stream_ends_with_a_message_and_can_be_resumed(deploy: Deploy) -> None:
    with deploy(stream_seconds=1) as function:
        stream = function.watch("long")
        function.enter("long", Stage.BUILDING, WAITING)
        stream.finish()
        assert [event.message for event in stream.events] == [
            WAITING.message,
            f"The build goes on. Open the same link again to see how it stands: https://hub.example/v2/{PATH}\n",
        ]
        function.enter("long", Stage.STARTING, FOUND)
        function.make_ready("long")
        again = function.watch("another token", Last_Event_ID=stream.last.id).finish()
        assert again.phases == ["built", "launching", "ready"]
        assert function.launches.find(launch_id("another token")) is None


def test_comments_keep_a_silent_stream_alive(deploy: Deploy) -> None:
    with deploy(OFTEN, stream_seconds=2) as function:
        assert set(function.watch("silent").finish().comments) == {":keepalive"}


def test_a_disconnected_client_does_not_block_the_next(deploy: Deploy) -> None:
    with deploy(stream_seconds=1) as function:
        function.watch("left")  # no client ever reads it; Lambda does not tell the function
        stream = function.watch("next")
        function.make_ready("next")
        assert stream.finish().last.phase == "ready"
