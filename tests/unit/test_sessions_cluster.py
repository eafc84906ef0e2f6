"""API servers that are slow, break off or do not exist. Each case becomes one of the product's errors within the time limit."""

import contextlib
import threading
import time

import pytest

from bindery.adapters.kubernetes import api as adapter
from bindery.adapters.kubernetes.api import POD
from bindery.domain.errors import LauncherDown
from tests.serving.kubernetes_answers import A_POD, chunked_answer, event, server_with, whole_answer

NO_PODS = {"metadata": {"resourceVersion": "1"}, "items": []}


@pytest.mark.parametrize("body", [b"<html>welcome</html>", b"", b"\xff", [], {}, "word", 7])
def test_another_server_at_the_address_of_the_cluster_is_reported(body: object) -> None:
    with server_with(whole_answer(body)) as (cluster, _), pytest.raises(LauncherDown) as down:
        cluster.find(POD, "x")
    assert down.value.facts["why"] == adapter.NO_CLUSTER


def test_an_unresponsive_api_server_is_requested_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "TIMEOUTS", (3.0, 0.3))
    with server_with(lambda asker: time.sleep(2)) as (cluster, requests):
        began = time.monotonic()
        with pytest.raises(LauncherDown):
            cluster.find(POD, "x")
        assert time.monotonic() - began < 2
    assert len(requests) == 1


def test_a_retry_after_of_the_api_server_is_not_waited_for() -> None:
    with server_with(whole_answer({}, "503 Service Unavailable", "Retry-After: 30\r\n")) as (cluster, requests):
        began = time.monotonic()
        with pytest.raises(LauncherDown):
            cluster.find(POD, "x")
        assert time.monotonic() - began < 5
    assert len(requests) == 1


def test_an_ended_connection_is_replaced_even_for_a_create() -> None:
    with server_with(lambda asker: None, whole_answer(A_POD)) as (cluster, requests):
        assert cluster.create({"kind": POD, **A_POD}) == A_POD
    assert requests == ["POST /api/v1/namespaces/sessions/pods"] * 2


def test_redirects_are_not_followed() -> None:
    with (
        server_with(whole_answer(NO_PODS)) as (elsewhere, requests),
        server_with(whole_answer({}, "302 Found", f"Location: {elsewhere.address}/x\r\n")) as (cluster, _),
        pytest.raises(LauncherDown),
    ):
        cluster.find(POD, "x")
    assert requests == []


def test_an_expired_list_is_a_temporary_error() -> None:
    first_page = {"metadata": {"resourceVersion": "1", "continue": "more"}, "items": [A_POD]}
    expired = whole_answer({"message": "too old", "reason": "Expired"}, "410 Gone")
    with server_with(whole_answer(first_page), expired) as (cluster, _), pytest.raises(LauncherDown):
        list(cluster.each(POD, "a=b"))


@pytest.mark.parametrize("line", [b"<html>\n", b'{"type": "ERROR", "object": {"code": 410}}\n', b"[]\n", b"{}\n"])
def test_an_invalid_watch_event_is_a_temporary_error(line: bytes) -> None:
    with (
        server_with(chunked_answer(event(), line)) as (cluster, _),
        contextlib.closing(cluster.watch(POD, "x", "1", 5)) as watching,
        pytest.raises(LauncherDown),
    ):
        list(watching)


def test_a_closed_watch_ends_without_an_error() -> None:
    with server_with(chunked_answer(event(), event())) as (cluster, _):
        watching = cluster.watch(POD, "x", "1", 5)
        for _kind, _pod in watching:
            watching.close()


def test_a_watch_closed_by_another_thread_ends_without_an_error() -> None:
    events = [event()] * 200
    with server_with(chunked_answer(*events, pause=0.001)) as (cluster, _):
        for round_ in range(30):
            watching, trouble = cluster.watch(POD, "x", "1", 5), list[Exception]()

            def listen(watching: adapter.Watching = watching, trouble: list[Exception] = trouble) -> None:
                try:
                    list(watching)
                except Exception as error:  # noqa: BLE001 - an error of any kind would end the thread
                    trouble.append(error)

            listener = threading.Thread(target=listen)
            listener.start()
            time.sleep(0.01 + round_ / 1000)
            watching.close()
            listener.join(5)
            assert not listener.is_alive()
            assert trouble == []
