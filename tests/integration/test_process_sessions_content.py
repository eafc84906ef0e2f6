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


def test_the_working_copy_is_as_the_build_left_it(launcher: ProcessSessions, place: Place, built: Path) -> None:
    launcher.start(order_of("one"))
    work = place.folder("one") / "work"
    assert (work / "README.md").read_text() == "changed by the build"
    assert (work / "link").readlink() == Path("data/table.csv")
    assert os.access(work / "tool", os.X_OK)
    assert not (work / "pipe").exists()
    assert (place.folder("one") / "home" / ".toolrc").read_text() == "from postBuild"
    assert place.contents.checkouts == 0


def test_one_visitor_does_not_see_what_another_writes(launcher: ProcessSessions, place: Place, built: Path) -> None:
    one, two = kernel_of(ready(launcher, "one")), kernel_of(ready(launcher, "two"))
    assert one.run("open('README.md', 'w').write('mine'); open('data/table.csv', 'w').write('mine')") == ""
    assert two.run("print(open('README.md').read(), open('data/table.csv').read())") == "changed by the build 1,2\n"
    assert (built / "README.md").read_text() == "changed by the build"


def test_at_another_ref_the_files_are_that_refs_with_what_the_build_added(
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


def test_an_image_without_content_takes_the_files_from_the_repository(launcher: ProcessSessions, place: Place) -> None:
    for session, ref in (("one", REF), ("two", OTHER)):
        launcher.start(order_of(session, ref))
        assert (place.folder(session) / "work" / "README.md").read_text() == "hello"
    assert place.contents.checkouts == 2


def test_a_start_script_runs_first_and_then_the_server(launcher: ProcessSessions, place: Place) -> None:
    place.contents.files["binder/start"] = START
    place.environment = replace(place.environment, start=Path("binder/start"))
    url = ready(launcher, "one")
    assert kernel_of(url).run("import os; print(os.environ['FROM_START'])") == "here\n"


def test_what_a_start_script_writes_of_the_token_is_not_kept(launcher: ProcessSessions, place: Place) -> None:
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
def test_a_start_script_runs_as_it_stands_and_the_working_copy_stays_as_it_is(
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
def test_a_start_script_whose_first_line_makes_no_sense_is_refused(
    launcher: ProcessSessions, place: Place, line: str
) -> None:
    place.contents.files["start"] = f"{line}\n"
    place.environment = replace(place.environment, start=Path("start"))
    with pytest.raises(RepositoryUnusable):
        launcher.start(order_of("one"))
    assert launcher.list_sessions() == []


def test_a_start_script_that_cannot_run_is_said(launcher: ProcessSessions, place: Place) -> None:
    place.contents.files["start"] = "#!/nowhere/interpreter"
    place.environment = replace(place.environment, start=Path("start"))
    launcher.start(order_of("one"))
    assert "could not be run" in gone(launcher, "one").why


def test_a_server_that_writes_without_end_fills_no_disk(launcher: ProcessSessions, place: Place) -> None:
    place.contents.files["start"] = (
        "#!/bin/sh\nhead -c 20000000 /dev/zero | tr '\\0' 'x'\necho; echo last words\nexit 1\n"
    )
    place.environment = replace(place.environment, start=Path("start"))
    launcher.start(order_of("one"))
    assert "last words" in gone(launcher, "one").why
    assert sum(path.stat().st_size for path in place.folder("one").glob("server.log*")) <= 1_000_000


def test_a_session_ignores_and_blocks_no_signal_because_we_do(launcher: ProcessSessions, place: Place) -> None:
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
