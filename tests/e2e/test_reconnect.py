"""Tests of clients that come late, come again, or go away. A look at a launch never starts work."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.serving.gate import Gate
from tests.serving.git_http import GitServer, make_repository
from tests.serving.kernel import Session
from tests.serving.runtime import LocalRuntime, Stream, until

Spec = Callable[..., str]
ELSEWHERE = 1  # the quiet stream
LINES = "for n in $(seq 150); do echo said $n; done"


@pytest.fixture(scope="module", autouse=True)
def quiet(
    bindery: LocalRuntime, git_server: GitServer, spec_of: Spec, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Future[bool]]:
    """Tell if a client that hears no other message learns that its stream is alive. The answer is found while the
    other tests run.
    """
    gate = Gate(tmp_path_factory.mktemp("quiet") / "gate")
    make_repository(git_server.root / "quiet.git", {"postBuild": gate.post_build("echo silence now")})

    def listen() -> bool:
        with bindery.stream(spec_of("quiet.git"), build_only="true") as stream:
            return any(line.startswith(":keepalive") for line in stream.response.iter_lines())

    with ThreadPoolExecutor(1) as listeners:
        messages = listeners.submit(listen)
        try:
            yield messages
        finally:
            gate.open()


def hear_line(stream: Stream, text: str) -> None:
    assert any(event.message == text for event in stream.listen()), f"{text!r} never came: {stream.events[-5:]}"


def test_a_late_client_gets_the_last_lines_and_a_returning_one_its_launch(
    bindery: LocalRuntime, git_server: GitServer, spec_of: Spec, gate: Gate
) -> None:
    make_repository(git_server.root / "slow.git", {"postBuild": gate.post_build(LINES)})
    spec = spec_of("slow.git")
    token = bindery.token(f"git/{spec}", jti="a client that leaves")
    builds = bindery.total("binderhub_build_count_total")

    with bindery.stream(spec, build_token=token) as first:
        hear_line(first, "said 150\n")
    assert first.phases == ["waiting", "fetching", "building"]
    assert "said 1\n" in first.text
    last_id = first.last.id

    with bindery.stream(spec) as late:
        hear_line(late, "said 150\n")
        assert [event.message for event in late.events[1:]] == [f"said {n}\n" for n in range(51, 151)]
        gate.open()
        assert late.finish().last.phase == "ready"

    again = bindery.launch(spec, headers={"Last-Event-ID": last_id})
    assert again.phases == ["built", "launching", "ready"]
    by_token = bindery.launch(spec, build_token=token)
    assert by_token.last.data["token"] == again.last.data["token"]
    assert by_token.last.data["url"] == again.last.data["url"]
    assert late.last.data["token"] != again.last.data["token"]
    assert bindery.total("binderhub_build_count_total") == builds + 1
    told_again = bindery.launch(spec, headers={"Last-Event-ID": again.last.id})
    assert [event.phase for event in told_again.events] == ["ready"]
    assert told_again.last.data["token"] == again.last.data["token"]


def test_a_reconnecting_client_gets_every_line_once(
    bindery: LocalRuntime, git_server: GitServer, spec_of: Spec, gate: Gate
) -> None:
    make_repository(git_server.root / "resumed.git", {"postBuild": gate.post_build(LINES)})
    spec = spec_of("resumed.git")
    with bindery.stream(spec, build_only="true") as first:
        hear_line(first, "said 75\n")
    with bindery.stream(spec, headers={"Last-Event-ID": first.last.id}) as second:
        hear_line(second, "said 150\n")
        assert [event.message for event in second.events] == [f"said {n}\n" for n in range(76, 151)]
        gate.open()
        assert second.finish().last.phase == "ready"


def test_streams_of_disconnected_clients_are_closed_and_the_build_continues(
    bindery: LocalRuntime, git_server: GitServer, spec_of: Spec, gate: Gate
) -> None:
    make_repository(git_server.root / "busy.git", {"postBuild": gate.post_build("echo begun")})
    spec = spec_of("busy.git")
    token = bindery.token(f"git/{spec}", jti="many watch this")
    with bindery.stream(spec, build_token=token, build_only="true") as stream:
        hear_line(stream, "begun\n")
    until(lambda: bindery.connections() <= ELSEWHERE)
    for _ in range(60):
        with bindery.stream(spec, build_token=token) as stream:
            stream.wait_for("building")
    until(lambda: bindery.connections() <= ELSEWHERE)
    gate.open()
    assert bindery.launch(spec, build_token=token).last.phase == "ready"


def test_a_ready_launch_is_reported_again_without_a_new_session(bindery: LocalRuntime, plain: str) -> None:
    token = bindery.token(f"git/{plain}", jti="reloads the page", seconds=300)
    first = bindery.launch(plain, build_token=token)
    assert first.last.phase == "ready"
    launches = bindery.launches()
    again = bindery.launch(plain, build_token=token)
    expired = bindery.token(f"git/{plain}", jti="reloads the page", seconds=-3600)
    with_expired = bindery.launch(plain, build_token=expired)
    for stream in (again, with_expired):
        assert (stream.last.data["url"], stream.last.data["token"]) == (
            first.last.data["url"],
            first.last.data["token"],
        )
    assert bindery.launches() == launches
    assert Session.of(again.last.data).answers()


@pytest.mark.parametrize(
    ("spoil", "spec"),
    [
        (lambda id_: id_[:-1] + ("A" if id_[-1] != "A" else "B"), None),
        (lambda id_: id_.replace(":", ":9", 1), None),
        (lambda id_: ("x" if id_[0] != "x" else "y") + id_[1:], None),
        (lambda id_: "nonsense", None),
        (lambda id_: id_ * 1000, None),
        (lambda id_: id_, "another"),
    ],
    ids=["signature", "place", "launch", "no id", "long", "of another spec"],
)
def test_a_modified_event_id_is_refused(
    bindery: LocalRuntime, plain: str, spoil: Callable[[str], str], spec: str | None
) -> None:
    launched = bindery.launch(plain, build_only="true")
    launches = bindery.launches()
    requested = f"{plain.rpartition('/')[0]}/main" if spec else plain
    refused = bindery.launch(requested, headers={"Last-Event-ID": spoil(launched.last.id)})
    assert [event.phase for event in refused.events] == ["failed"]
    assert refused.last.message.rstrip().endswith(".")
    assert str(refused.last.data["status_code"]) in ("403", "404")
    assert bindery.launches() == launches


@pytest.mark.parametrize(
    ("spec", "seconds", "spoil", "why"),
    [
        (None, -1, "", "it has expired"),
        ("git/elsewhere/HEAD", 300, "", "another"),
        (None, 300, "x", "signature"),
        (None, 300, "." * 5000, "signature"),
    ],
    ids=["expired", "of another spec", "signature", "long"],
)
def test_a_bad_token_creates_no_launch(
    bindery: LocalRuntime, plain: str, spec: str | None, seconds: int, spoil: str, why: str
) -> None:
    token = bindery.token(spec or f"git/{plain}", jti=f"never used, {why}", seconds=seconds) + spoil
    before = bindery.launches()
    refused = bindery.launch(plain, build_token=token)
    assert [event.phase for event in refused.events] == ["failed"]
    assert str(refused.last.data["status_code"]) == "403"
    assert why in refused.last.message
    assert bindery.launches() == before


def test_a_silent_stream_is_kept_alive(quiet: Future[bool]) -> None:
    assert quiet.result(60)
