"""What a client of `/build` reads: BinderHub's words, field by field. Every answer is ready for `json.dumps`."""

from bindery.domain.errors import BinderyError
from bindery.domain.failure import Failure
from bindery.domain.launch import Event, Launch, Phase
from bindery.domain.sessions import Session
from bindery.web.errors.render import error_message, waiting_message
from bindery.web.errors.text import encodable

Payload = dict[str, object]


def payload(event: Event, image: str = "") -> Payload:
    """An ordinary phase. image: named with `built`, once it is known."""
    told: Payload = {"phase": event.phase.value, "message": words_of(event)}
    if event.phase is Phase.BUILT and image:
        told["imageName"] = encodable(image)
    return told


def words_of(event: Event) -> str:
    """What an event tells people, with a newline at its end."""
    return encodable(f"{waiting_message(event.trouble)}\n" if event.trouble else event.message)


def ready_payload(launch: Launch, session: Session, client_ip: str) -> Payload:
    """The line that hands the session over. It holds the session's token: only for the one who launched."""
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
    """The end of a launch that only wanted its image (`build_only`)."""
    return {"phase": Phase.READY.value, "message": "Done! Image built\n", "imageName": encodable(launch.image)}


def failed_payload(trouble: Failure | BinderyError, *, status_code: bool = False) -> Payload:
    """The end of a launch that failed. status_code: also as a number, for what BinderHub's handler refuses before a launch."""
    shown = error_message(trouble)
    told: Payload = {"phase": Phase.FAILED.value, "message": f"{shown.message}\n"}
    if status_code:
        told["status_code"] = shown.status
    return told


def _slashed(url: str) -> str:
    return url if url.endswith("/") else f"{url}/"
