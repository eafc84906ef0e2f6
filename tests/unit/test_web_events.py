"""The messages that clients of `/build` read, field by field."""

import json

from bindery.domain.errors import QuotaReached, RefNotFound
from bindery.domain.failure import Failure
from bindery.domain.launch import BUILT, FOUND, LAUNCHING, WAITING, Event, Launch, Phase
from bindery.domain.repository import Repository
from bindery.domain.sessions import Session, SessionState
from bindery.web.stream.payloads import built_payload, failed_payload, payload, ready_payload

REPOSITORY = Repository(
    provider="gh",
    spec="o/r/HEAD",
    ref="a" * 40,
    resolved_spec=f"o/r/{'a' * 40}",
    clone_url="https://github.com/o/r.git",
    repo_url="https://github.com/o/r",
    ref_url=f"https://github.com/o/r/tree/{'a' * 40}",
)
LAUNCH = Launch(
    id="l1",
    provider="gh",
    spec="o/r/HEAD",
    repo_url="https://github.com/o/r",
    owner="someone",
    launch_host="https://binder.example.org",
    created_at=0,
    deadline=2400,
    image="key-1@sha256:beef",
    repository=REPOSITORY,
)
SESSION = Session(
    id="l1",
    owner="someone",
    token="opens sesame",
    repo_url="https://github.com/o/r",
    state=SessionState.RUNNING,
    created_at=0,
    url="https://l1.sessions.example.net",
)


def test_an_ordinary_phase_has_phase_and_message() -> None:
    assert payload(WAITING, "image") == {"phase": "waiting", "message": "Waiting for build to start...\n"}
    assert payload(LAUNCHING, "image") == {"phase": "launching", "message": "Launching server...\n"}


def test_the_built_event_names_the_image() -> None:
    assert payload(BUILT, "key-1") == {"phase": "built", "message": BUILT.message, "imageName": "key-1"}
    assert payload(FOUND, "key-1")["imageName"] == "key-1"


def test_the_repository_address_can_be_cloned() -> None:
    repository = REPOSITORY.model_copy(update={"repo_url": "https://git.example.org/o/r.git"})
    launch = LAUNCH.model_copy(update={"repo_url": "https://git.example.org/o/r", "repository": repository})
    assert ready_payload(launch, SESSION, "")["repo_url"] == "https://git.example.org/o/r.git"


def test_ready_contains_all_fields_that_clients_use() -> None:
    assert ready_payload(LAUNCH, SESSION, "203.0.113.9") == {
        "phase": "ready",
        "message": "server running at https://l1.sessions.example.net/\n",
        "url": "https://l1.sessions.example.net/",
        "token": "opens sesame",
        "image": "key-1@sha256:beef",
        "repo_url": "https://github.com/o/r",
        "binder_ref_url": f"https://github.com/o/r/tree/{'a' * 40}",
        "binder_launch_host": "https://binder.example.org/",
        "binder_request": "v2/gh/o/r/HEAD",
        "binder_persistent_request": f"v2/gh/o/r/{'a' * 40}",
        "binder_client_ip": "203.0.113.9",
    }


def test_trailing_slashes_are_not_doubled() -> None:
    launch = LAUNCH.model_copy(update={"launch_host": "https://b.example/"})
    fields = ready_payload(launch, SESSION.model_copy(update={"url": "https://s.example/x/"}), "")
    assert (fields["url"], fields["binder_launch_host"]) == ("https://s.example/x/", "https://b.example/")


def test_notes_precede_the_address() -> None:
    noted = SESSION.model_copy(update={"notes": ("Large files (LFS) are missing.", "HEAD was taken.\n")})
    assert ready_payload(LAUNCH, noted, "")["message"] == (
        "Large files (LFS) are missing.\nHEAD was taken.\nserver running at https://l1.sessions.example.net/\n"
    )


def test_ready_without_a_stored_repository_still_has_every_field() -> None:
    fields = ready_payload(LAUNCH.model_copy(update={"repository": None}), SESSION, "")
    assert fields["binder_persistent_request"] == "v2/gh/o/r/HEAD"
    assert fields["binder_ref_url"] == "https://github.com/o/r"


def test_a_build_only_launch_ends_with_its_image() -> None:
    assert built_payload(LAUNCH) == {
        "phase": "ready",
        "message": "Done! Image built\n",
        "imageName": "key-1@sha256:beef",
    }


def test_a_failure_contains_its_status_only_on_request() -> None:
    failure = Failure.of(RefNotFound(spec="o/r/nope", ref="nope"))
    fields = failed_payload(failure)
    assert fields == {
        "phase": "failed",
        "message": "o/r/nope: there is no branch, tag or commit called nope. Check its spelling.\n",
    }
    assert failed_payload(failure, status_code=True) == {**fields, "status_code": 404}
    assert failed_payload(QuotaReached(limit=1), status_code=True)["status_code"] == 429


def test_lone_surrogates_are_never_sent() -> None:
    bad = "x\udcff\ud800y"
    session = SESSION.model_copy(update={"notes": (bad,), "url": f"http://s/{bad}"})
    launch = LAUNCH.model_copy(update={"spec": bad, "image": bad, "launch_host": bad, "repo_url": bad})
    for fields in (
        payload(Event.model_construct(phase=Phase.BUILT, message=bad), bad),
        ready_payload(launch, session, bad),
        built_payload(launch),
        failed_payload(RefNotFound(spec=bad, ref=bad)),
    ):
        text = json.dumps(fields, ensure_ascii=False)
        assert text.encode()
        assert "\ufffd" in text
