"""Paths in a session that a link opens: `urlpath`, `labpath` and `filepath`, kept within the session's address.

Browsers resolve the result against the session's address, and send it the session's token. So a path that could leave that
address, as browsers (WHATWG URL) or RFC 3986 read it, is refused here.
"""

import re
from urllib.parse import quote, unquote

from bindery.domain.errors import BadRequest
from bindery.web.errors.text import encodable

LONGEST = 8192
# Characters that JavaScript's encodeURI leaves unchanged; clients build file paths with it.
_IN_PATHS = ";,/:@&=+$-_.!~*'()"
_AFTER_PATHS = _IN_PATHS + "?#"
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_DOCUMENT = r"\.(?:ipynb|md|[rq]md|rst|html?)"
_ENDS = re.compile(rf"{_DOCUMENT}\Z", re.IGNORECASE)
_NAMED = re.compile(rf"{_DOCUMENT}(?=[?#])", re.IGNORECASE)
"""The end of a document's name before an anchor or a query, as in old links: `index.ipynb#Heading`, which BinderHub's client leaves
unchanged.

All other `?` and `#` are part of a file's name. So are those in a name that ends like a document's name: `part #1.ipynb`.
"""


def path_in_session(urlpath: str | None, labpath: str | None, filepath: str | None) -> str:
    """Return the path relative to the session's address, in ASCII, without a leading slash; empty: the session's start.

    Arguments are query parameters, decoded once. labpath goes before filepath before urlpath, as in BinderHub's client. labpath
    and filepath name a file, urlpath is an address: only in urlpath `?` and `#` always end the path, and `%` begins an escape. An
    empty argument counts as absent. Raises BadRequest when the result would leave the session's address.
    """
    if labpath:
        return _inside("labpath", "doc/tree/", *_file(labpath))
    if filepath:
        return _inside("filepath", "tree/", *_file(filepath))
    path, rest = _parted((urlpath or "").removeprefix("/"))
    return _inside("urlpath", "", path, rest, "%[]")


def is_plain_name(file: str) -> bool:
    """Return True if `labpath` with this file's name opens this file, and no part of the name counts as an anchor."""
    return not _file(file)[1]


def _file(text: str) -> tuple[str, str]:
    """Return a file's name, and the anchor or query after it."""
    match = None if _ENDS.search(text) else _NAMED.search(text)
    file, rest = (text[: match.end()], text[match.end() :]) if match else (text, "")
    return file.removesuffix("/").lstrip("/"), rest


def _parted(text: str) -> tuple[str, str]:
    """Return an address's path, and the query and fragment after it."""
    at = re.search(r"[?#]", text)
    return (text[: at.start()], text[at.start() :]) if at else (text, "")


def _inside(name: str, folder: str, path: str, rest: str, safe: str = "") -> str:
    """Return the encoded path. name: the parameter's. rest: the text after the path. safe: more characters that stay as they are."""
    path = folder + path
    why = _trouble(path, rest)
    encoded = "" if why else quote(encodable(path), safe=_IN_PATHS + safe)
    if not why and any(_climbs(reading) for reading in _readings(encoded)):
        why = "leads out of the session with '..'"
    if why:
        raise BadRequest(why=f"{name} {why}")
    return encoded + quote(encodable(rest), safe=_AFTER_PATHS + safe)


def _trouble(path: str, rest: str) -> str:
    """Return the reason why a relative address might be read as an absolute one; empty if it cannot be."""
    text, first = path + rest, path.partition("/")[0]
    troubles = {
        f"is longer than {LONGEST} characters": len(text) > LONGEST,
        "holds control characters": bool(_CONTROLS.search(text)),
        "begins with a space": text != text.lstrip(),
        "holds a backslash": "\\" in path,
        "names another host": path.startswith("/"),
        "is an address of its own; it should be a path in the session": ":" in first or "@" in first,
    }
    return next((reason for reason, applies in troubles.items() if applies), "")


def _readings(path: str) -> list[str]:
    """Return the path as it is, and as a proxy that decodes it (again) would read it."""
    readings = [path]
    while len(readings) < 4 and (decoded := unquote(readings[-1])) != readings[-1]:
        readings.append(decoded)
    return [reading.replace("\\", "/") for reading in readings]


def _climbs(path: str) -> bool:
    """Return True if `..` goes above the start at any point. Empty segments do not count: some readers drop them."""
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
