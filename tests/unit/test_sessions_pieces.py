"""Tests of the single parts of process sessions."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bindery.domain.repository import Repository
from bindery.ports.contents import Checkout
from bindery_builder.process.remove_tree import remove_tree
from bindery_builder.process.session_reaper import Log
from bindery_local.processes import Process, alive, marked, send, status_of, with_descendants
from bindery_local.sessions.folder import Record, SessionFolder, session_folder
from bindery_local.sessions.server import command, prepare_home, variables
from bindery_local.sessions.working_copy import checkout, copy_folder
from tests.serving.lab import REF, TOKEN, LabEnvironment, WrittenContents, lab_python, order_of, until

PYTHON = Path("/environments/one/bin/python")


@pytest.fixture
def folder(tmp_path: Path) -> SessionFolder:
    session_files = SessionFolder(tmp_path / "sessions" / "one", tmp_path / "temporary")
    session_files.create()
    return session_files


@pytest.mark.parametrize("session", ["", "..", "../one", "/etc", "One", "a" * 41, "a/b", "a\n", "a\0"])
def test_an_invalid_session_id_has_no_folder(session: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a session's id"):
        session_folder(tmp_path, "home", session)


def test_other_users_cannot_read_the_folder_of_a_session(folder: SessionFolder) -> None:
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.temporary.stat().st_mode) == 0o700


def test_a_record_is_read_back_unchanged(folder: SessionFolder) -> None:
    record = Record(pid=1, started=2, port=3, created=4.5, notes=("five",))
    folder.write(record)
    assert folder.record() == record


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "one"}'])
def test_an_incomplete_record_is_ignored(folder: SessionFolder, text: str) -> None:
    (folder.path / "process.json").write_text(text)
    assert folder.record() is None


def test_the_last_output_is_plain_text_of_limited_length(folder: SessionFolder) -> None:
    folder.log.write_bytes(b"\x1b[31mred\x1b[0m\r\n\x1b]0;title\x07bell\x07\n\xff\n\n" + b"x" * 5000 + b"\nend\n")
    words = folder.last_log_lines()
    assert words.endswith("x\nend")
    assert len(words) <= 2000
    assert "\x1b" not in words


def test_the_last_output_includes_the_rotated_log(folder: SessionFolder) -> None:
    folder.log.with_name("server.log.1").write_text("before\n")
    folder.log.write_text("after\n")
    assert folder.last_log_lines() == "before\nafter"


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_a_log_never_contains_the_token_for_any_chunk_size(tmp_path: Path, size: int) -> None:
    path = tmp_path / "server.log"
    log = Log(path, 100_000, b"abcabd")
    data = b"token abcabd and abcabcabd\nabcab\nabcabd"
    for start in range(0, len(data), size):
        log.write(data[start : start + size])
    log.close(b"end\n")
    assert path.read_bytes() == b"token [token] and abc[token]\nabcab\n[token]\nend\n"


def test_a_log_stays_below_its_limit_and_keeps_the_last_lines(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    log = Log(path, 1000, b"")
    for number in range(1000):
        log.write(f"line {number}\n".encode())
    assert path.stat().st_size + path.with_name("server.log.1").stat().st_size <= 1000
    assert path.read_text().endswith("line 999\n")


def test_a_log_without_its_folder_is_ignored(tmp_path: Path) -> None:
    Log(tmp_path / "gone" / "server.log", 1000, b"").write(b"line\n")


def test_a_session_inherits_only_the_listed_variables(folder: SessionFolder) -> None:
    outer = {
        "PATH": "/bin",
        "LC_ALL": "C.UTF-8",
        "BINDERY_SECRET": "x",
        "AWS_PROFILE": "x",
        "JUPYTER_CONFIG_DIR": "x",
        "PYTHONPATH": "x",
        "https_proxy": "http://proxy.example:1",
        "HTTP_PROXY": "http://user:password@proxy.example:1",
        "HOME": "/root",
    }
    order = order_of("one", BINDER_REF_URL="https://example.org", PATH="/evil", JUPYTER_TOKEN="other")
    inherited = variables(outer, order, LabEnvironment(PYTHON), folder, "mark")
    assert inherited.pop("SHELL")
    assert inherited == {
        "PATH": "/environments/one/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "https_proxy": "http://proxy.example:1",
        "HOME": str(folder.home),
        "TMPDIR": str(folder.temporary),
        "VIRTUAL_ENV": "/environments/one",
        "JUPYTER_TOKEN": TOKEN,
        "BINDERY_SESSION": "mark:one",
        "BINDER_REF_URL": "https://example.org",
    }


def test_allowed_origins_are_matched_exactly(folder: SessionFolder) -> None:
    environment = LabEnvironment(PYTHON)
    assert [each for each in command(environment, folder, 1, ()) if "allow_origin" in each] == []
    assert "--ServerApp.allow_origin=*" in command(environment, folder, 1, ("*",))
    (pattern,) = [
        each for each in command(environment, folder, 1, ("https://a.b", "https://c.d")) if "allow_origin" in each
    ]
    assert pattern == r"--ServerApp.allow_origin_pat=^(https://a\.b|https://c\.d)$"


def test_a_process_with_a_reused_pid_is_not_signalled() -> None:
    with subprocess.Popen(["sleep", "1000"]) as sleeping:
        status = status_of(sleeping.pid)
        assert status
        another = Process(sleeping.pid, status.process.started - 1)
        assert not alive(another)
        assert send(another, signal.SIGKILL, 1)
        assert alive(status.process)
        assert send(status.process, signal.SIGKILL, 10)
        assert not alive(status.process)
    assert status_of(sleeping.pid) is None


def test_marked_processes_are_found_with_their_descendants() -> None:
    code = "import subprocess; p = subprocess.Popen(['env', '-i', 'sleep', '1000']); print(p.pid, flush=True); p.wait()"
    outer = {"PATH": os.defpath, "BINDERY_TEST_MARK": "one:two"}
    with subprocess.Popen([sys.executable, "-c", code], env=outer, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        until(lambda: len(list(marked(b"BINDERY_TEST_MARK"))) == 1)  # By then `env` has cleared its own environment.
        ((root, value),) = marked(b"BINDERY_TEST_MARK")
        assert (root.pid, value) == (parent.pid, b"one:two")
        below = with_descendants({root})
        assert {process.pid for process in below} == {parent.pid, child}
        for process in below:
            send(process, signal.SIGKILL)


def test_a_copy_contains_everything_except_special_files(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "deep" / "er" / "big").write_bytes(b"0123456789" * 100_000)
    (source / "run").write_text("x")
    (source / "run").chmod(0o755)
    (source / "dangling").symlink_to("/nowhere")
    (source / "loop").symlink_to(".")
    os.mkfifo(source / "pipe")
    copy_folder(source, target)
    assert sorted(path.name for path in target.iterdir()) == ["dangling", "deep", "loop", "run"]
    assert (target / "deep" / "er" / "big").read_bytes() == b"0123456789" * 100_000
    assert (target / "run").stat().st_mode == (source / "run").stat().st_mode
    assert (target / "run").stat().st_mtime_ns == (source / "run").stat().st_mtime_ns
    assert (target / "dangling").readlink() == Path("/nowhere")


def test_files_added_by_a_build_are_never_written_through_a_link(tmp_path: Path) -> None:
    content, work, outside = tmp_path / "content", tmp_path / "work", tmp_path / "outside"
    (content / "data").mkdir(parents=True)
    (content / "data" / "added").write_text("x")
    outside.mkdir()

    class Linked(WrittenContents):
        """A repository in which `data` is a link to a folder outside."""

        def checkout(
            self,
            repository: Repository,
            folder: Path,
            seconds: float | None = None,
            stopped: Callable[[], bool] = lambda: False,
            *,
            exact: bool = False,
        ) -> Checkout:
            checked_out = super().checkout(repository, folder)
            (folder / "data").symlink_to(outside)
            return checked_out

    environment = LabEnvironment(PYTHON, content=content)
    checkout(order_of("one", "b" * 40).repository, environment, Linked({"README.md": ""}), work, lambda: False)
    assert list(outside.iterdir()) == []
    assert environment.ref == REF


def test_removing_a_folder_follows_no_link(tmp_path: Path) -> None:
    outside = tmp_path / "kept"
    outside.mkdir(mode=0o500)
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "link").symlink_to(outside)
    (folder / "inner").chmod(0o000)
    remove_tree(folder)
    remove_tree(folder)
    link = tmp_path / "link"
    link.symlink_to(outside)
    remove_tree(link)
    assert not folder.exists()
    assert not link.is_symlink()
    assert stat.S_IMODE(outside.stat().st_mode) == 0o500


def test_a_very_deep_folder_is_removed(tmp_path: Path) -> None:
    for name, depth in (("a" * 200, 25), ("b", 3000)):
        handle = os.open(tmp_path, os.O_RDONLY)
        for _ in range(depth):
            os.mkdir(name, dir_fd=handle)
            inner = os.open(name, os.O_RDONLY, dir_fd=handle)
            os.close(handle)
            handle = inner
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=handle))
        os.fchmod(handle, 0o000)
        os.close(handle)
    (tmp_path / "c" / "d" / "e").mkdir(parents=True)
    (tmp_path / "c" / "d").chmod(0o000)
    remove_tree(tmp_path)
    assert not tmp_path.exists()


def test_a_folder_can_be_removed_by_two_threads_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for number in range(300):
        (folder / str(number) / "inner").mkdir(parents=True)
        (folder / str(number) / "inner" / "file").write_text("x")
    with ThreadPoolExecutor(4) as pool:
        for removal in [pool.submit(remove_tree, folder) for _ in range(4)]:
            removal.result()
    assert not folder.exists()


def test_jupyterlab_news_are_turned_off_unless_the_build_configured_them(tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    home.mkdir()
    outside.mkdir()
    prepare_home(home)
    (settings,) = home.rglob("notification.jupyterlab-settings")
    assert json.loads(settings.read_text()) == {"fetchNews": "false"}
    settings.write_text("{}")
    prepare_home(home)
    assert settings.read_text() == "{}"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / ".jupyter").symlink_to(outside)
    prepare_home(tmp_path / "other")
    assert list(outside.iterdir()) == []


CHECKED = """
import sys
sys.path.append(sys.argv[1])
from start_lab import defer_grammar
defer_grammar()
import jsonschema
assert "rfc3987_syntax.syntax_helpers" not in sys.modules, "compiled at import"
iri = {"type": "string", "format": "iri"}
check = jsonschema.Draft7Validator(iri, format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER)
print(check.is_valid("https://example.org/ä"), check.is_valid("no iri at all"))
from rfc3987_syntax import parse
assert "rfc3987_syntax.syntax_helpers" in sys.modules
"""


def test_the_delayed_schema_grammar_is_loaded_at_the_first_validation(tmp_path_factory: pytest.TempPathFactory) -> None:
    from bindery.adapters.jupyter import start_lab

    python = lab_python(tmp_path_factory.getbasetemp())
    arguments = [str(python), "-c", CHECKED, str(Path(start_lab.__file__).parent)]
    completed = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert (completed.stdout, completed.stderr) == ("True False\n", "")
