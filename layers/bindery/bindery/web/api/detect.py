"""Response of `/api/detect` for a pasted address."""

import re
from urllib.parse import quote, urlencode

from bindery.domain.errors import BadRequest
from bindery.domain.urls.pasted import Kind, PastedUrl
from bindery.web.base_url import launch_path
from bindery.web.errors.text import encodable
from bindery.web.pages.session_paths import is_plain_name, path_in_session

MEANT = re.compile(r"[%?#]")
"""Characters of a name that have another meaning in an address."""


def detected(pasted: PastedUrl, address: str) -> dict[str, object]:
    """Return the response body. address: this Bindery's, with a trailing slash. A path that a session could not open is left out."""
    kind, place, opened = _opened(pasted)
    try:
        path_in_session(*(opened.get(name) for name in ("urlpath", "labpath", "filepath")))
    except BadRequest:
        kind, place, opened = pasted.kind, "", {}
    return {
        "provider": pasted.provider,
        "repo": pasted.repo,
        "spec": encodable(pasted.spec),
        "ref": pasted.ref,
        "path": place,
        "kind": kind.value,
        "link": address + launch_path(pasted.provider, pasted.spec)[1:] + (f"?{urlencode(opened)}" if opened else ""),
    }


def _opened(pasted: PastedUrl) -> tuple[Kind, str, dict[str, str]]:
    """Return the kind of the path, the path, and the link parameter that opens it."""
    path = encodable(pasted.path)
    match pasted.kind:
        case _ if not path:
            return pasted.kind, "", {}
        case Kind.FILE if is_plain_name(path):
            return Kind.FILE, path, {"labpath": path}
        case Kind.FILE:
            page = f"doc/tree/{_in_address(path)}"
            return Kind.PAGE, page, {"urlpath": page}
        case Kind.FOLDER:
            return Kind.FOLDER, _in_address(path), {"urlpath": f"lab/tree/{_in_address(path)}"}
        case Kind.PAGE:
            return Kind.PAGE, path, {"urlpath": path}


def _in_address(name: str) -> str:
    """Return a name in the spelling of an address's path."""
    return MEANT.sub(lambda match: quote(match[0]), name)
