"""What `/api/detect` tells of a pasted address."""

from urllib.parse import urlencode

from bindery.domain.errors import BadRequest
from bindery.domain.pasted import Kind, Pasted
from bindery.web.requests import launch_path
from bindery.web.session_paths import path_in_session
from bindery.web.text import encodable


def detected(found: Pasted, address: str) -> dict[str, object]:
    """JSON. address: this Bindery's, with a trailing slash. A path that could not be opened in a session is left out."""
    place, opened = _opened(found)
    try:
        path_in_session(*(opened.get(name) for name in ("urlpath", "labpath", "filepath")))
    except BadRequest:
        place, opened = "", {}
    return {
        "provider": found.provider,
        "repo": found.repo,
        "spec": encodable(found.spec),
        "ref": found.ref,
        "path": place,
        "kind": found.kind.value,
        "link": address + launch_path(found.provider, found.spec)[1:] + (f"?{urlencode(opened)}" if opened else ""),
    }


def _opened(found: Pasted) -> tuple[str, dict[str, str]]:
    """The path, and the parameter of a link that opens it."""
    path = encodable(found.path)
    match found.kind:
        case _ if not path:
            return "", {}
        case Kind.FILE:
            return path, {"labpath": path}
        case Kind.FOLDER:
            return path, {"urlpath": f"lab/tree/{path}"}
        case Kind.PAGE:
            return path, {"urlpath": path}
