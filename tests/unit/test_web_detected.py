"""The answers of `/api/detect`."""

from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from bindery.domain.urls.pasted import Kind, PastedUrl
from bindery.web.api.detect import detected
from bindery.web.pages.session_paths import path_in_session


def told(path: str, kind: Kind = Kind.FILE, spec: str = "o/r/main") -> dict[str, object]:
    return detected(PastedUrl("gh", "o/r", spec, "main", path, kind), "https://b.example/live/")


@pytest.mark.parametrize(
    ("path", "kind", "query"),
    [
        ("", Kind.FILE, ""),
        ("", Kind.PAGE, ""),
        ("a b/c&d.ipynb", Kind.FILE, "?labpath=a+b%2Fc%26d.ipynb"),
        ("docs", Kind.FOLDER, "?urlpath=lab%2Ftree%2Fdocs"),
        ("rstudio/?x=1", Kind.PAGE, "?urlpath=rstudio%2F%3Fx%3D1"),
        ("r\u00e9sum\u00e9", Kind.FILE, "?labpath=r%C3%A9sum%C3%A9"),
    ],
)
def test_the_link_opens_the_detected_path(path: str, kind: Kind, query: str) -> None:
    answer = told(path, kind)
    assert (answer["path"], answer["link"]) == (path, f"https://b.example/live/v2/gh/o/r/main{query}")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("../../../x", Kind.FILE),
        ("a/../../../../x", Kind.FILE),
        ("a\\..\\..\\x", Kind.FILE),
        ("../../../x", Kind.FOLDER),
        ("../x", Kind.PAGE),
        ("%2e%2e/x", Kind.PAGE),
        ("//evil.example/x", Kind.PAGE),
        ("https://evil.example/", Kind.PAGE),
        ("user/x" * 2000, Kind.FILE),
    ],
)
def test_a_path_that_leaves_the_session_is_omitted(path: str, kind: Kind) -> None:
    answer = told(path, kind)
    assert (answer["path"], answer["link"]) == ("", "https://b.example/live/v2/gh/o/r/main")


def test_any_spec_makes_a_link_of_ascii_characters() -> None:
    link = str(told("", spec="o/r/f\u00e9\ud800 \n")["link"])
    assert link.isascii()
    assert link.isprintable()
    assert " " not in link


@pytest.mark.parametrize(
    "path",
    ["part #1.ipynb", "100% #1.ipynb", "q?.ipynb", "a.ipynb#b.ipynb", "notes.md#draft", "a%20b/c.ipynb", "x.ipynb?y"],
)
@pytest.mark.parametrize("kind", [Kind.FILE, Kind.FOLDER])
def test_the_page_of_a_file_leads_to_that_file_for_any_name(path: str, kind: Kind) -> None:
    query = dict(parse_qsl(urlsplit(str(told(path, kind)["link"])).query))
    opened = path_in_session(query.get("urlpath"), query.get("labpath"), query.get("filepath"))
    plain = urlsplit(opened)
    assert (plain.query, plain.fragment) == ("", "")
    assert unquote(plain.path).removeprefix("doc/").removeprefix("lab/") == f"tree/{path}"
