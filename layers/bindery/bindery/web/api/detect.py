"""What `/api/detect` tells of a pasted address."""

import re
from urllib.parse import quote, urlencode

from bindery.domain.errors import BadRequest
from bindery.domain.urls.pasted import Kind, PastedUrl
from bindery.web.base_url import launch_path
from bindery.web.errors.text import encodable
from bindery.web.pages.session_paths import is_plain_name, path_in_session

MEANT = re.compile(r"[%?#]")
"""Characters of a name that mean something else in an address."""


def detected(found: PastedUrl, address: str) -> dict[str, object]:
    """JSON. address: this Bindery's, with a trailing slash. A path that could not be opened in a session is left out."""
    kind, place, opened = _opened(found)
    try:
        path_in_session(*(opened.get(name) for name in ("urlpath", "labpath", "filepath")))
    except BadRequest:
        kind, place, opened = found.kind, "", {}
    return {
        "provider": found.provider,
        "repo": found.repo,
        "spec": encodable(found.spec),
        "ref": found.ref,
        "path": place,
        "kind": kind.value,
        "link": address + launch_path(found.provider, found.spec)[1:] + (f"?{urlencode(opened)}" if opened else ""),
    }


def _opened(found: PastedUrl) -> tuple[Kind, str, dict[str, str]]:
    """What the path is, the path, and the parameter of a link that opens it."""
    path = encodable(found.path)
    match found.kind:
        case _ if not path:
            return found.kind, "", {}
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
    """A name as a path in an address spells it."""
    return MEANT.sub(lambda found: quote(found[0]), name)
