"""Tests of private repositories on a real cluster. They are built with the host's token, which no visitor or build
step can read.
"""

from base64 import b64encode
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.cluster.shipped import Shipped
from tests.containers import configure
from tests.serving.git_http import GitServer, make_repository
from tests.serving.github_api import GitHubServer
from tests.serving.kernel import Session
from tests.serving.names import localhost_names
from tests.serving.runtime import LocalRuntime

__all__ = ["localhost_names"]
pytestmark = pytest.mark.usefixtures("localhost_names")

TOKEN = "ghp_t0ken0t0ken0t0ken"
SHOWN = b64encode(f"x-access-token:{TOKEN}".encode()).decode()
NAMED, HIDDEN = "octo/secret", "octo/hidden"
# The data that a step can read: its own variables, those of every process that it sees, its files.
LOOKING = "RUN env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'; cat .git/config; echo seen all"

LOOKING_AROUND = """
import os
from pathlib import Path
for each in Path('/proc').glob('[0-9]*/environ'):
    try: print(each.read_text())
    except OSError: pass
print(os.environ, Path('.git/config').read_text())
"""


@pytest.fixture(scope="module")
def clones(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    with GitServer(tmp_path_factory.mktemp("private-clones")) as server:
        (server.root / "octo").mkdir()
        for name in (NAMED, HIDDEN):
            server.private[f"/{name}/"] = f"Basic {SHOWN}"
        yield server


@pytest.fixture(scope="module")
def github(clones: GitServer) -> Iterator[GitHubServer]:
    with GitHubServer({name: clones.root / name for name in (NAMED, HIDDEN)}) as server:
        server.tokens.add(TOKEN)
        server.private |= {NAMED, HIDDEN}
        yield server


@pytest.fixture(scope="module")
def bindery(
    shipped: Shipped, clones: GitServer, github: GitHubServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalRuntime]:
    with pytest.MonkeyPatch.context() as environment:
        configure(tmp_path_factory.mktemp("containers"), environment, shipped.cluster.registry)
        words = {
            "allowed_private_hosts": f"{github.address},{clones.address}",
            "github_api_url": github.url,
            "github_url": f"http://{clones.address}",
            "github_token": f"{TOKEN}\n",
            "private_repositories": f"gh/{NAMED}",
            "log_level": "DEBUG",
        }
        home = tmp_path_factory.mktemp("private") / "home"
        with LocalRuntime(home, settings={**shipped.settings, **words}) as runtime:
            yield runtime


def commit(clones: GitServer, shipped: Shipped, name: str, text: str) -> str:
    dockerfile = (
        f"FROM {shipped.cluster.base_image}\nCOPY --chown=1000 . /home/jovyan\nWORKDIR /home/jovyan\n{LOOKING}\n"
    )
    return make_repository(clones.root / name, {"Dockerfile": dockerfile, "hello.txt": text})


def test_a_named_private_repository_is_launched_without_exposing_the_token(
    bindery: LocalRuntime, clones: GitServer, shipped: Shipped
) -> None:
    commit(clones, shipped, NAMED, "hidden\n")
    launched = bindery.launch(f"{NAMED}/HEAD", provider="gh")
    assert launched.last.phase == "ready", launched.text
    assert "seen all" in launched.text
    session = Session.of(launched.last.data)
    assert session.run("print(open('hello.txt').read(), end='')") == "hidden\n"
    output = session.run(LOOKING_AROUND)
    assert f"{clones.url(NAMED)}" in output
    pods = shipped.kubectl("get", "pods,services,secrets", "-A", "-o", "yaml")
    assert launched.last.data["image"] in pods
    assert {path.partition("/info")[0].partition("/git-")[0] for path, _ in clones.authorizations} == {f"/{NAMED}"}
    written = [path for path in bindery.home.rglob("*") if path.is_file()]
    assert bindery.home / "table.sqlite" in written
    for secret in (TOKEN, SHOWN):
        assert secret not in launched.text + output + pods + bindery.log + bindery.errors.read_text()
        assert [path for path in written if secret.encode() in path.read_bytes()] == []


def test_each_commit_of_a_private_repository_has_its_own_image(
    bindery: LocalRuntime, clones: GitServer, shipped: Shipped
) -> None:
    images = set()
    for text in ("second\n", "third\n"):
        commit(clones, shipped, NAMED, text)
        ready = bindery.launch(f"{NAMED}/HEAD", provider="gh").last.data
        count = len(clones.requests)
        assert Session.of(ready).run("print(open('hello.txt').read(), end='')") == text
        again = bindery.launch(f"{NAMED}/HEAD", provider="gh")
        assert again.phases == ["built", "launching", "ready"]
        assert len(clones.requests) == count
        images.add(ready["image"])
    assert len(images) == 2


def test_a_private_repository_that_is_not_named_looks_missing(
    bindery: LocalRuntime, clones: GitServer, shipped: Shipped
) -> None:
    existing = commit(clones, shipped, HIDDEN, "not for visitors\n")
    for ref in ("HEAD", "nowhere", existing):
        hidden, absent = (bindery.launch(f"{name}/{ref}", provider="gh") for name in (HIDDEN, "octo/absent"))
        assert hidden.phases == absent.phases == ["failed"]
        assert hidden.last.message == absent.last.message.replace("octo/absent", HIDDEN)
    assert bindery.launch(f"{quote(clones.url(HIDDEN), safe='')}/HEAD").phases == ["failed"]
    assert [path for path, _ in clones.authorizations if HIDDEN in path] == []
