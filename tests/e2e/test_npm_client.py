"""Tests of JupyterHub's own JavaScript client. It drives a launch here as it is on npm, unchanged."""

import json
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.serving.gate import Gate
from tests.serving.git_http import GitServer
from tests.serving.kernel import Session
from tests.serving.runtime import LocalRuntime
from tests.serving.watchers import may_watch

PACKAGE = "@jupyterhub/binderhub-client@0.5.0"
# The client is made for browsers: it gets the names that it looks for there, and is otherwise as it is on npm.
DRIVER = """
globalThis.window = globalThis;
process.on("unhandledRejection", () => {}); // the client rethrows what it has told; browsers only log that
globalThis.document = { cookie: "", addEventListener() {}, removeEventListener() {} };
const { BinderRepository } = await import("@jupyterhub/binderhub-client/client.js");
const { LaunchSpec } = await import("@jupyterhub/binderhub-client/spec.js");
const [, , spec, base, options] = process.argv;
const repository = new BinderRepository(spec, new URL("build/", base), JSON.parse(options));
const heard = [];
for await (const news of repository.fetch()) {
  heard.push(news);
  if (news.phase === "ready" || news.phase === "failed") break;
}
repository.close();
const last = heard.at(-1);
const launch = LaunchSpec.fromSearchParams(new URLSearchParams("labpath=a b.ipynb"));
const to = last.url ? launch.getJupyterServerRedirectUrl(last.url, last.token).href : "";
console.log(JSON.stringify({ heard, to }));
"""


@pytest.fixture(scope="module")
def client() -> Path:
    """Provide a folder in which the client is installed. It is kept outside the checkout between runs."""
    for tool, name in (("node", "Node"), ("npm", "npm")):
        if not shutil.which(tool):
            pytest.skip(f"no {name} on PATH")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bindery"
    folder = cache / f"npm-{PACKAGE.replace('/', '-')}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="fetching-") as name:
            fetched = Path(name) / "client"
            fetched.mkdir()
            (fetched / "package.json").write_text(json.dumps({"private": True, "type": "module"}))
            command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", PACKAGE]
            ran = subprocess.run(command, cwd=fetched, capture_output=True, text=True, timeout=240)
            assert ran.returncode == 0, ran.stderr
            with suppress(OSError):  # another run has just fetched it
                fetched.rename(folder)
    return folder


def drive(client: Path, bindery: LocalRuntime, spec: str, **options: str | bool) -> tuple[list[dict[str, str]], str]:
    """Run the client; return the events that it heard, and the address to which it would go.

    options: the client's own.
    """
    command = ["node", "--input-type=module", "-", spec, f"{bindery.address}/", json.dumps(options)]
    ran = subprocess.run(command, input=DRIVER, capture_output=True, text=True, timeout=120, cwd=client)
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout.splitlines()[-1])
    return result["heard"], result["to"]


def test_the_npm_client_follows_a_launch_to_its_session(client: Path, bindery: LocalRuntime, plain: str) -> None:
    events, to = drive(client, bindery, f"git/{plain}")
    ready = events[-1]
    assert ready["phase"] == "ready"
    assert to == f"{ready['url']}doc/tree/a%20b.ipynb?token={ready['token']}"
    assert Session.of(ready).answers()


def test_the_npm_client_gets_the_reason_of_a_failed_launch(client: Path, bindery: LocalRuntime, plain: str) -> None:
    events, _ = drive(client, bindery, f"git/{plain.replace('HEAD', 'nowhere')}")
    assert events[-1]["phase"] == "failed"
    assert "nowhere" in events[-1]["message"]


def test_the_npm_client_gets_the_reason_of_a_refused_link(client: Path, bindery: LocalRuntime) -> None:
    events, _ = drive(client, bindery, "nowhere/a/b/HEAD")
    assert [news["phase"] for news in events] == ["failed"]
    assert "no kind of repository called nowhere" in events[-1]["message"]


def test_a_build_only_launch_of_the_npm_client_gets_an_image_only(
    client: Path, bindery: LocalRuntime, plain: str
) -> None:
    sessions = bindery.session_folders()
    events, _ = drive(client, bindery, f"git/{plain}", buildOnly=True)
    assert events[-1]["phase"] == "ready"
    assert "url" not in events[-1]
    assert "token" not in events[-1]
    assert bindery.session_folders() == sessions


def test_the_token_of_a_page_leads_to_the_launch_of_that_page(client: Path, bindery: LocalRuntime, plain: str) -> None:
    token = bindery.token(f"git/{plain}", jti="JavaScript's")
    first, _ = drive(client, bindery, f"git/{plain}", buildToken=token)
    again, _ = drive(client, bindery, f"git/{plain}", buildToken=token)
    assert first[-1]["phase"] == "ready"
    assert (first[-1]["url"], first[-1]["token"]) == (again[-1]["url"], again[-1]["token"])
    forged, _ = drive(client, bindery, f"git/{plain}", buildToken=token[:-4])
    assert forged[-1]["phase"] == "failed"
    assert "permit to launch is not valid" in forged[-1]["message"]


def test_the_npm_client_fails_at_once_if_there_are_too_many_watchers(
    client: Path, home: Path, git_server: GitServer, held: str, gate: Gate
) -> None:
    """The client only uses the stream. It means to try again, trips, and fails. It never shows the text of the
    response.
    """
    with may_watch(home, git_server, 1) as bindery, bindery.stream(held) as watching:
        watching.wait_for("waiting")
        events, _ = drive(client, bindery, f"git/{held}")
        gate.open()
    assert [news["phase"] for news in events] == ["unknown", "failed"]
    assert "503" in events[0]["message"]


def test_the_session_address_opens_only_with_its_token(client: Path, bindery: LocalRuntime, plain: str) -> None:
    _, to = drive(client, bindery, f"git/{plain}")
    with httpx.Client(trust_env=False, timeout=30) as browser:
        opened = browser.get(to, follow_redirects=True)
    assert opened.status_code == 200
    assert "/login" not in opened.url.path
    with httpx.Client(trust_env=False, timeout=30) as browser:
        assert browser.get(to.partition("?")[0], follow_redirects=True).url.path.endswith("/login")
