"""Where in a session a link leads: `urlpath`, `labpath` and `filepath`, held within the session's address.

The result is resolved by browsers against the session's address and gets the session's token: whatever could leave
that address, by a browser's reading (WHATWG URL) or by RFC 3986's, is refused here.
"""

import re
from urllib.parse import quote, unquote

from bindery.domain.errors import BadRequest
from bindery.web.text import encodable

LONGEST = 8192
# What JavaScript's encodeURI leaves alone; clients build file paths with it.
_ENCODE_URI = ";,/?:@&=+$-_.!~*'()#"
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


def path_in_session(urlpath: str | None, labpath: str | None, filepath: str | None) -> str:
    """The path relative to the session's address, in ASCII, without a leading slash; empty: the session's start.

    Arguments are query parameters, decoded once. labpath goes before filepath before urlpath, as in BinderHub's client.
    Raises BadRequest when the result would leave the session's address.
    """
    if labpath is not None:
        return _inside("labpath", "doc/tree/" + _file(labpath))
    if filepath is not None:
        return _inside("filepath", "tree/" + _file(filepath))
    text = urlpath or ""
    return _inside("urlpath", text.removeprefix("/"), safe=_ENCODE_URI + "%[]")


def _file(path: str) -> str:
    return path.removesuffix("/").lstrip("/")


def _inside(name: str, text: str, safe: str = _ENCODE_URI) -> str:
    why = _trouble(text)
    encoded = "" if why else quote(encodable(text), safe=safe)
    path = re.split(r"[?#]", encoded, maxsplit=1)[0]
    if not why and any(_climbs(reading) for reading in _readings(path)):
        why = "leads out of the session with '..'"
    if why:
        raise BadRequest(why=f"{name} {why}")
    return encoded


def _trouble(text: str) -> str:
    """Why a relative address might be read as an absolute one; empty if it cannot be."""
    path = re.split(r"[?#]", text, maxsplit=1)[0]
    first = path.partition("/")[0]
    troubles = {
        f"is longer than {LONGEST} characters": len(text) > LONGEST,
        "holds control characters": bool(_CONTROLS.search(text)),
        "begins with a space": text != text.lstrip(),
        "holds a backslash": "\\" in path,
        "names another host": path.startswith("/"),
        "is an address of its own; it should be a path in the session": ":" in first or "@" in first,
    }
    return next((why for why, met in troubles.items() if met), "")


def _readings(path: str) -> list[str]:
    """The path as it stands, and as somebody on the way who decodes it (again) would read it."""
    readings = [path]
    while len(readings) < 4 and (decoded := unquote(readings[-1])) != readings[-1]:
        readings.append(decoded)
    return [reading.replace("\\", "/") for reading in readings]


def _climbs(path: str) -> bool:
    """Whether `..` goes above the start at any point. Empty segments count for nothing: some readers drop them."""
    depth = 0
    for segment in path.split("/"):
        plain = segment.lower().replace("%2e", ".")
        if plain == "..":
            depth -= 1
        elif plain not in ("", "."):
            depth += 1
        if depth < 0:
            return True
    return False
