"""Submodules in the working copies of a container's start script."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bindery_builder.contents.submodules import web_address
from tests.serving.git_http import File, GitServer, make_repository
from tests.serving.start_script import SCRIPT, SHELLS, started


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    (tmp_path / "served").mkdir()
    with GitServer(tmp_path / "served") as git_server:
        yield git_server


@pytest.mark.parametrize("shell", SHELLS)
def test_a_session_starts_with_all_available_submodules(server: GitServer, tmp_path: Path, shell: str) -> None:
    deep = make_repository(server.root / "deep.git", {"deep.txt": "deep"})
    listed = '[submodule "d"]\n\tpath = deep\n\turl = ../deep.git\n'
    inner = make_repository(
        server.root / "inner.git", {"in.txt": "in", "deep": File(deep, 0o160000), ".gitmodules": listed}
    )
    mark = tmp_path / "ran"
    addresses = {
        "lib one": "../inner.git",
        "user": server.url("inner.git").replace("://", "://someone:secret@"),
        "gone": "../gone.git",
        "file": f"file://{server.root}/inner.git",
        "command": f"ext::touch {mark}",
        "option": f"--upload-pack=touch {mark}",
        "here": str(server.root / "inner.git"),
    }
    modules = "".join(
        f'[submodule "{name}"]\n\tpath = {name}\n\turl = {url}\n\tupdate = !touch {mark}\n'
        for name, url in addresses.items()
    )
    modules += '[submodule "none"]\n\tpath = none\n\turl = ../inner.git\n\tupdate = none\n'
    modules += '[submodule "no"]\n\tpath = a.txt\n\turl = ../inner.git\n'
    files: dict[str, str | File] = {name: File(inner, 0o160000) for name in (*addresses, "none")}
    ref = make_repository(server.root / "r.git", {"a.txt": "a", ".gitmodules": modules, **files})
    ran = started(server, ref, tmp_path, shell)
    assert ran.stdout == "started\n", ran.stderr
    work = tmp_path / "work"
    for name in ("lib one", "user"):
        assert (work / name / "in.txt").read_text() == "in"
        assert (work / name / "deep" / "deep.txt").read_text() == "deep"
    for name in ("gone", "file", "command", "option", "here"):
        assert list((work / name).iterdir()) == []
        assert f"The submodule {name} " in ran.stderr
    assert list((work / "none").iterdir()) == []
    assert (work / "a.txt").read_text() == "a"
    assert not mark.exists()


@pytest.mark.parametrize(
    "url",
    [
        "../lib.git",
        "./lib",
        "../../up/lib.git",
        "https://host.example/o/lib.git",
        "http://name@host.example:8080/o/lib",
        "https://name:word@host.example/o/lib.git",
        "ssh://git@host.example:2222/o/lib.git",
        "git://host.example/o/lib",
        "git@host.example:o/lib.git",
        "git@host.example:/o/lib.git",
        "file:///etc",
        "/etc",
        "ext::sh -c id",
        "-x",
    ],
)
def test_the_script_and_the_builder_compute_equal_submodule_addresses(url: str) -> None:
    parent = "https://forge.example/o/r.git"
    functions = SCRIPT.read_text().partition("web_address() {")[2].partition("\n}\n")[0]
    command = f'web_address() {{{functions}\n}}\nweb_address "$1" "$2"'
    ran = subprocess.run(["sh", "-c", command, "sh", url, parent], capture_output=True, text=True, check=False)
    try:
        expected = web_address(url, parent)
    except Exception:  # noqa: BLE001 # The builder may refuse with any error.
        expected = ""
    assert ran.stdout.strip() == expected
    assert (ran.returncode == 0) == bool(expected)
