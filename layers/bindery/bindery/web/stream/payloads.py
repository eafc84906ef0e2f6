"""Payloads of `/build` events, with BinderHub's fields. All payloads are ready for `json.dumps`."""

from bindery.domain.errors import BinderyError
from bindery.domain.failure import Failure
from bindery.domain.launch import Event, Launch, Phase
from bindery.domain.sessions import Session
from bindery.web.errors.render import error_message, waiting_message
from bindery.web.errors.text import encodable

Payload = dict[str, object]


def payload(event: Event, image: str = "") -> Payload:
    """Return the payload of an ordinary phase. image: added to `built`, once it is known."""
    fields: Payload = {"phase": event.phase.value, "message": words_of(event)}
    if event.phase is Phase.BUILT and image:
        fields["imageName"] = encodable(image)
    return fields


def words_of(event: Event) -> str:
    """Return an event's text for people, with a newline at its end."""
    return encodable(f"{waiting_message(event.trouble)}\n" if event.trouble else event.message)


def ready_payload(launch: Launch, session: Session, client_ip: str) -> Payload:
    """Return the payload that hands the session over. It holds the session's token: only for the client that launched."""
    url = _slashed(session.url)
    repository = launch.repository
    request = f"v2/{launch.provider}/{launch.spec}"
    persistent = f"v2/{launch.provider}/{repository.resolved_spec}" if repository else request
    message = "".join(f"{note.rstrip()}\n" for note in session.notes) + f"server running at {url}\n"
    fields = {
        "phase": Phase.READY.value,
        "message": message,
        "url": url,
        "token": session.token,
        "image": launch.image,
        "repo_url": repository.repo_url if repository else launch.repo_url,
        "binder_ref_url": repository.ref_url if repository else launch.repo_url,
        "binder_launch_host": _slashed(launch.launch_host),
        "binder_request": request,
        "binder_persistent_request": persistent,
        "binder_client_ip": client_ip,
    }
    return {name: encodable(text) for name, text in fields.items()}


def built_payload(launch: Launch) -> Payload:
    """Return the payload for the end of a launch that only built its image (`build_only`)."""
    return {"phase": Phase.READY.value, "message": "Done! Image built\n", "imageName": encodable(launch.image)}


def failed_payload(trouble: Failure | BinderyError, *, status_code: bool = False) -> Payload:
    """Return the payload for the end of a failed launch.

    status_code: also as a number, for errors that BinderHub's handler reports before a launch.
    """
    error = error_message(trouble)
    fields: Payload = {"phase": Phase.FAILED.value, "message": f"{error.message}\n"}
    if status_code:
        fields["status_code"] = error.status
    return fields


def _slashed(url: str) -> str:
    return url if url.endswith("/") else f"{url}/"
