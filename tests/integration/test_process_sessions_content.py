"""The content of a session's working copy and HOME, and the work of its `start` script."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from bindery.domain.errors import RepositoryUnusable
from bindery_local.sessions.launcher import ProcessSessions
from tests.serving.lab import REF, TOKEN, kernel_of, order_of
from tests.serving.process_sessions import Place, gone, launcher, place, ready

__all__ = ["launcher", "place"]  # fixtures

OTHER = "b" * 40
START = """#!/bin/sh
export FROM_START=here
echo "the token is $JUPYTER_TOKEN"
exec "$@"
"""


@pytest.fixture
def built(place: Place) -> Path:
    """Return a working copy and a HOME as a build left them."""
    content = place.home / "built" / "content"
    (content / "data").mkdir(parents=True)
    (content / ".git").mkdir()
    (content / ".git" / "HEAD").write_text("built")
    (content / "README.md").write_text("changed by the build")
    (content / "data" / "table.csv").write_text("1,2")
    (content / "tool").write_text("#!/bin/sh\n")
    (content / "tool").chmod(0o755)
    (content / "link").symlink_to("data/table.csv")
    os.mkfifo(content / "pipe")
    home = place.home / "built" / "home"
    home.mkdir()
    (home / ".toolrc").write_text("from postBuild")
    place.environment = replace(place.environment, content=content, home=home)
    return content


def test_the_working_copy_equals_that_of_the_build(launcher: ProcessSessions, place: Place, built: Path) -> None:
    launcher.start(order_of("one"))
    work = place.folder("one") / "work"
    assert (work / "README.md").read_text() == "changed by the build"
    assert (work / "link").readlink() == Path("data/table.csv")
    assert os.access(work / "tool", os.X_OK)
    assert not (work / "pipe").exists()
    assert (place.folder("one") / "home" / ".toolrc").read_text() == "from postBuild"
    assert place.contents.checkouts == 0


def test_changes_of_one_visitor_are_invisible_to_others(launcher: ProcessSessions, place: Place, built: Path) -> None:
    one, two = kernel_of(ready(launcher, "one")), kernel_of(ready(launcher, "two"))
    assert one.run("open('README.md', 'w').write('mine'); open('data/table.csv', 'w').write('mine')") == ""
    assert two.run("print(open('README.md').read(), open('data/table.csv').read())") == "changed by the build 1,2\n"
    assert (built / "README.md").read_text() == "changed by the build"


def test_another_ref_has_its_own_files_and_those_that_the_build_added(
    launcher: ProcessSessions, place: Place, built: Path
) -> None:
    place.contents.files = {"README.md": "at the other ref", ".git/HEAD": "other", "data/notes.txt": "tracked"}
    launcher.start(order_of("one", OTHER))
    work = place.folder("one") / "work"
    assert (work / "README.md").read_text() == "at the other ref"
    assert (work / ".git" / "HEAD").read_text() == "other"
    assert (work / "data" / "table.csv").read_text() == "1,2"
    assert (work / "data" / "notes.txt").read_text() == "tracked"
    assert (work / "link").is_symlink()
    assert place.contents.checkouts == 1


def test_an_environment_without_content_gets_files_from_the_repository(launcher: ProcessSessions, place: Place) -> None:
    for session, ref in (("one", REF), ("two", OTHER)):
        launcher.start(order_of(session, ref))
        assert (place.folder(session) / "work" / "README.md").read_text() == "hello"
    assert place.contents.checkouts == 2


def test_a_start_script_runs_before_the_server(launcher: ProcessSessions, place: Place) -> None:
    place.contents.files["binder/start"] = START
    place.environment = replace(place.environment, start=Path("binder/start"))
    url = ready(launcher, "one")
    assert kernel_of(url).run("import os; print(os.environ['FROM_START'])") == "here\n"


def test_the_token_is_removed_from_the_output_of_a_start_script(launcher: ProcessSessions, place: Place) -> None:
    place.contents.files["start"] = START.replace('exec "$@"', "exit 3")
    place.environment = replace(place.environment, start=Path("start"))
    launcher.start(order_of("one"))
    why = gone(launcher, "one").why
    assert "the token is [token]" in why
    assert "exit code 3" in why
    assert TOKEN not in place.log("one")


@pytest.mark.parametrize(
    "script",
    ['export FROM_START=here\nexec "$@"\n', START.replace("\n", "\r\n"), START],
    ids=["without a first line", "Windows line endings", "not executable"],
)
def test_a_start_script_runs_unchanged_and_the_working_copy_stays_unchanged(
    launcher: ProcessSessions, place: Place, script: str
) -> None:
    place.contents.files["start"] = script
    place.environment = replace(place.environment, start=Path("start"))
    url = ready(launcher, "one")
    assert kernel_of(url).run("import os; print(os.environ['FROM_START'])") == "here\n"
    work = place.folder("one") / "work"
    assert (work / "start").read_bytes().decode() == script
    assert not (work / "start").stat().st_mode & 0o111
    assert sorted(path.name for path in work.iterdir()) == ["README.md", "start"]


@pytest.mark.parametrize("line", ["#!/bin/'sh", "#!/bin/sh\0"])
def test_a_start_script_with_an_invalid_first_line_is_refused(
    launcher: ProcessSessions, place: Place, line: str
) -> None:
    place.contents.files["start"] = f"{line}\n"
    place.environment = replace(place.environment, start=Path("start"))
    with pytest.raises(RepositoryUnusable):
        launcher.start(order_of("one"))
    assert launcher.list_sessions() == []


def test_a_start_script_that_cannot_run_is_reported(launcher: ProcessSessions, place: Place) -> None:
    place.contents.files["start"] = "#!/nowhere/interpreter"
    place.environment = replace(place.environment, start=Path("start"))
    launcher.start(order_of("one"))
    assert "could not be run" in gone(launcher, "one").why


def test_a_server_with_endless_output_does_not_fill_the_disk(launcher: ProcessSessions, place: Place) -> None:
    place.contents.files["start"] = (
        "#!/bin/sh\nhead -c 20000000 /dev/zero | tr '\\0' 'x'\necho; echo last words\nexit 1\n"
    )
    place.environment = replace(place.environment, start=Path("start"))
    launcher.start(order_of("one"))
    assert "last words" in gone(launcher, "one").why
    assert sum(path.stat().st_size for path in place.folder("one").glob("server.log*")) <= 1_000_000


def test_a_session_does_not_inherit_ignored_or_blocked_signals(launcher: ProcessSessions, place: Place) -> None:
    place.contents.files["start"] = "#!/bin/sh\ngrep -E 'SigBlk|SigIgn' /proc/self/status\nexit 1\n"
    place.environment = replace(place.environment, start=Path("start"))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        launcher.start(order_of("one"))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGINT, before)
    masks = dict(line.split(":\t") for line in gone(launcher, "one").why.splitlines() if line.startswith("Sig"))
    assert masks.keys() == {"SigBlk", "SigIgn"}
    assert {int(mask, 16) & 0x7FFFFFFF for mask in masks.values()} == {0}  # the lines above are the C library's own
