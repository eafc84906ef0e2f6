"""Where in a session a link leads: `urlpath`, `labpath` and `filepath`, held within the session's address.

The result is resolved by browsers against the session's address and gets the session's token: whatever could leave
that address, by a browser's reading (WHATWG URL) or by RFC 3986's, is refused here.
"""

import re
from urllib.parse import quote, unquote

from bindery.domain.errors import BadRequest
from bindery.web.errors.text import encodable

LONGEST = 8192
# What JavaScript's encodeURI leaves alone; clients build file paths with it.
_IN_PATHS = ";,/:@&=+$-_.!~*'()"
_AFTER_PATHS = _IN_PATHS + "?#"
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_DOCUMENT = r"\.(?:ipynb|md|[rq]md|rst|html?)"
_ENDS = re.compile(rf"{_DOCUMENT}\Z", re.IGNORECASE)
_NAMED = re.compile(rf"{_DOCUMENT}(?=[?#])", re.IGNORECASE)
"""The end of a document's name before an anchor or a query, as old links have them: `index.ipynb#Heading`, which BinderHub's client
leaves alone. Any other `?` or `#` is part of a file's name, and so are all where the whole ends like a document's name:
`part #1.ipynb`."""


def path_in_session(urlpath: str | None, labpath: str | None, filepath: str | None) -> str:
    """The path relative to the session's address, in ASCII, without a leading slash; empty: the session's start.

    Arguments are query parameters, decoded once. labpath goes before filepath before urlpath, as in BinderHub's client.
    labpath and filepath name a file, urlpath is an address: only there `?` and `#` always end the path, and `%` begins an escape.
    An empty one counts as absent. Raises BadRequest when the result would leave the session's address.
    """
    if labpath:
        return _inside("labpath", "doc/tree/", *_file(labpath))
    if filepath:
        return _inside("filepath", "tree/", *_file(filepath))
    path, rest = _parted((urlpath or "").removeprefix("/"))
    return _inside("urlpath", "", path, rest, "%[]")


def is_plain_name(file: str) -> bool:
    """True if `labpath` with this file's name opens this file, and does not take a part of the name for an anchor."""
    return not _file(file)[1]


def _file(text: str) -> tuple[str, str]:
    """A file's name, and the anchor or query after it."""
    found = None if _ENDS.search(text) else _NAMED.search(text)
    file, rest = (text[: found.end()], text[found.end() :]) if found else (text, "")
    return file.removesuffix("/").lstrip("/"), rest


def _parted(text: str) -> tuple[str, str]:
    """An address's path, and the query and fragment after it."""
    at = re.search(r"[?#]", text)
    return (text[: at.start()], text[at.start() :]) if at else (text, "")


def _inside(name: str, folder: str, path: str, rest: str, safe: str = "") -> str:
    """The encoded path. name: the parameter's. rest: what follows the path. safe: more characters that stay as they are."""
    path = folder + path
    why = _trouble(path, rest)
    encoded = "" if why else quote(encodable(path), safe=_IN_PATHS + safe)
    if not why and any(_climbs(reading) for reading in _readings(encoded)):
        why = "leads out of the session with '..'"
    if why:
        raise BadRequest(why=f"{name} {why}")
    return encoded + quote(encodable(rest), safe=_AFTER_PATHS + safe)


def _trouble(path: str, rest: str) -> str:
    """Why a relative address might be read as an absolute one; empty if it cannot be."""
    text, first = path + rest, path.partition("/")[0]
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
