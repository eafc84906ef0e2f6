"""The paths in links. A link leads to a place in the session or is refused. It never takes the session's token to another address."""

import json
import random
import re
import shutil
import subprocess
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bindery.domain.errors import BadRequest
from bindery.web.pages.session_paths import LONGEST, path_in_session

BASE = "http://127.0.0.1:8888/base/"

# Pieces that browsers and servers read specially. Tests join them to paths.
PIECES = (
    *("/", "//", "\\", "..", ".", "%2e", "%2E%2e", "%252e%252e", "%2f", "%5c", "%", "@", ":", "?", "#", "&", "="),
    *("http:", "https://", "javascript:", "evil.example", "localhost:1", "user:pass@", "[::1]", "lab", "tree", "a b"),
    *(
        "\t",
        "\n",
        "\r",
        "\x00",
        "\x1f",
        "\x7f",
        " ",
        "\u00a0",
        "\u2028",
        "\u3002",
        "\uff0f",
        "\uff0e",
        "é",
        "\udcff",
        "|",
        "^",
    ),
)
hostile = st.one_of(st.lists(st.sampled_from(PIECES), max_size=8).map("".join), st.text(st.characters(), max_size=20))


def browser_resolves(reference: str, base: str = BASE) -> str:
    """Resolve a reference against an http address by the URL Standard's steps, as far as they decide its target."""
    text = re.sub(r"[\t\n\r]", "", re.sub(r"^[\x00-\x20]+|[\x00-\x20]+$", "", reference))
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", text)
    if scheme and scheme[1].lower() != "http":
        return text
    text = text[scheme.end() :] if scheme else text
    path, tail = re.match(r"([^?#]*)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]  # matches every text
    path = path.replace("\\", "/")
    root = urlsplit(base)
    if path.startswith("//"):
        return f"http:{path}"
    segments = [] if path.startswith("/") else root.path.split("/")[1:-1]
    parts = path.removeprefix("/").split("/")
    for place, part in enumerate(parts):
        plain = part.lower().replace("%2e", ".")
        if plain == "..":
            segments = segments[:-1]
        elif plain != ".":
            segments.append(part)
        if plain in (".", "..") and place == len(parts) - 1:
            segments.append("")
    return f"http://{root.netloc}/{'/'.join(segments)}{tail}"


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ({}, ""),
        ({"urlpath": ""}, ""),
        ({"urlpath": "lab"}, "lab"),
        ({"urlpath": "/lab/tree/x.ipynb"}, "lab/tree/x.ipynb"),
        ({"urlpath": "/"}, ""),
        ({"urlpath": "rstudio/"}, "rstudio/"),
        ({"urlpath": "lab/tree/a b/é.ipynb"}, "lab/tree/a%20b/%C3%A9.ipynb"),
        ({"urlpath": "lab/tree/a%20b"}, "lab/tree/a%20b"),
        ({"urlpath": "lab/tree/../../lab"}, "lab/tree/../../lab"),
        ({"urlpath": "lab/tree/@scope/a:b"}, "lab/tree/@scope/a:b"),
        ({"urlpath": "?reset#cell-3"}, "?reset#cell-3"),
        ({"labpath": "index.ipynb"}, "doc/tree/index.ipynb"),
        ({"labpath": "/notebooks/a b.ipynb"}, "doc/tree/notebooks/a%20b.ipynb"),
        ({"labpath": "folder/"}, "doc/tree/folder"),
        ({"labpath": "100%.ipynb"}, "doc/tree/100%25.ipynb"),
        ({"labpath": "http://x/y"}, "doc/tree/http://x/y"),
        ({"filepath": "index.ipynb#part"}, "tree/index.ipynb#part"),
        ({"labpath": ""}, ""),
        ({"labpath": "part #1.ipynb"}, "doc/tree/part%20%231.ipynb"),
        ({"labpath": "100% #1.ipynb"}, "doc/tree/100%25%20%231.ipynb"),
        ({"labpath": "q?.ipynb"}, "doc/tree/q%3F.ipynb"),
        ({"labpath": "a%20b.ipynb"}, "doc/tree/a%2520b.ipynb"),
        ({"labpath": "what? #1/data.csv"}, "doc/tree/what%3F%20%231/data.csv"),
        ({"labpath": "a.ipynb#b.ipynb"}, "doc/tree/a.ipynb%23b.ipynb"),
        ({"labpath": "v1.2#3.ipynb"}, "doc/tree/v1.2%233.ipynb"),
        ({"labpath": "index.ipynb#Heading-2"}, "doc/tree/index.ipynb#Heading-2"),
        ({"labpath": "index.ipynb?factory=x#A"}, "doc/tree/index.ipynb?factory=x#A"),
        ({"labpath": "#a/index.MD#A"}, "doc/tree/%23a/index.MD#A"),
        ({"filepath": "part #1.ipynb"}, "tree/part%20%231.ipynb"),
        ({"filepath": "index.ipynb#1.-Intro"}, "tree/index.ipynb#1.-Intro"),
        ({"labpath": "l", "filepath": "f", "urlpath": "u"}, "doc/tree/l"),
        ({"filepath": "f", "urlpath": "u"}, "tree/f"),
    ],
)
def test_paths_lead_to_the_same_place_as_with_binderhub(query: dict[str, str], path: str) -> None:
    assert path_in_session(query.get("urlpath"), query.get("labpath"), query.get("filepath")) == path


@pytest.mark.parametrize(
    "urlpath",
    [
        "git-pull?repo=https%3A%2F%2Fgithub.com%2Fo%2Fr&urlpath=lab/tree/x",
        "git-pull?repo=https://github.com/o/r&urlpath=lab%2Ftree%2Fx&branch=main",
        "git-pull?repo=https://user@host//../..\\x",
    ],
)
def test_a_git_pull_path_is_preserved(urlpath: str) -> None:
    path = path_in_session(urlpath, None, None)
    assert path.replace("%5C", "\\") == urlpath
    assert browser_resolves(path).startswith(f"{BASE}git-pull?repo=https")


@pytest.mark.parametrize(
    "urlpath",
    [
        *("http://evil.example", "HTTPS:evil.example", "javascript:alert(1)", "data:text/html,x", "http:lab", "x:y"),
        *("//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "\\lab", "lab\\..\\..\\x"),
        *("/\t/evil.example", "\thttp://evil.example", "ht\ntp://evil.example", "lab\x00", "\x01lab", "lab\x7f"),
        *(" http://evil.example", "\u00a0lab", "/ /evil.example/..//../../x"),
        *("..", "../", "../x", "/../x", "lab/../..", "lab/../../x", "./../x", "lab//../../x", "a/b/../../../c"),
        *("%2e%2e/x", ".%2E/x", "%2e./x", "lab/%2e%2e/%2E%2E/x", "..%2f..%2fx", "lab%2f..%2f..%2fx", "..%5cx"),
        *("%252e%252e/x", "%25%32%65%25%32%65/x", "..%252fx"),
        *("@evil.example", "user:pass@evil.example/x", "evil@x"),
        "x" * (LONGEST + 1),
    ],
)
def test_a_path_that_leaves_the_session_is_refused(urlpath: str) -> None:
    with pytest.raises(BadRequest) as refused:
        path_in_session(urlpath, None, None)
    assert str(refused.value.facts["why"]).startswith("urlpath ")


@pytest.mark.parametrize("path", ["../../../x", "a/../../../../x", "..//../../x", "x\ty", "x\\y"])
def test_file_paths_that_leave_the_session_are_refused(path: str) -> None:
    with pytest.raises(BadRequest, match="labpath"):
        path_in_session(None, path, None)
    with pytest.raises(BadRequest, match="filepath"):
        path_in_session(None, None, f"{path}/..")


@given(urlpath=hostile, labpath=st.none() | hostile, filepath=st.none() | hostile)
@example(urlpath="a/..//evil.example", labpath=None, filepath=None)
@settings(deadline=None, database=None, max_examples=1500)
def test_every_accepted_path_stays_below_the_session(urlpath: str, labpath: str | None, filepath: str | None) -> None:
    try:
        path = path_in_session(urlpath, labpath, filepath)
    except BadRequest:
        return
    assert re.fullmatch(r"[!-~]*", path)
    assert browser_resolves(path).startswith(BASE)
    assert urljoin(BASE, path).startswith(BASE)


IN_NODE = """
const base = new URL(process.argv[1]);
const paths = JSON.parse(require("fs").readFileSync(0, "utf8"));
const left = paths.filter((path) => {
  const to = new URL(path, base);
  return to.origin !== base.origin || !to.pathname.startsWith(base.pathname) || to.username || to.password;
});
console.log(JSON.stringify(left));
"""


def test_accepted_paths_stay_below_the_session_for_a_real_url_parser() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on PATH")
    generator = random.Random(3)
    accepted = []
    for _ in range(30_000):
        try:
            text = "".join(generator.choice(PIECES) for _ in range(generator.randrange(1, 7)))
            accepted.append(path_in_session(text, None, None))
            accepted.append(path_in_session(None, text, None))
        except BadRequest:
            continue
    assert len(accepted) > 1000
    ran = subprocess.run(
        [node, "-e", IN_NODE, BASE], input=json.dumps(accepted), capture_output=True, text=True, check=True
    )
    assert json.loads(ran.stdout) == []
