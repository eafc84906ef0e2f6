"""Process sessions on real JupyterLab servers: their view of the machine, their leaks, and their leftovers."""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from bindery.domain.errors import HostUnreachable, LauncherDown, RepositoryTooLarge, RepositoryUnusable
from bindery.domain.repository import Repository
from bindery.domain.sessions import Activity, Liveness, SessionReport
from bindery.ports.contents import Checkout
from bindery_local.processes import alive
from bindery_local.sessions.folder import SessionFolder
from bindery_local.sessions.launcher import ProcessSessions
from tests.serving.lab import (
    TOKEN,
    WrittenContents,
    authorized,
    is_held,
    kernel_of,
    lab_server,
    order_of,
    until,
)
from tests.serving.process_sessions import ENOUGH, Place, gone, launcher, place, ready

__all__ = ["launcher", "place"]  # fixtures


def test_the_token_is_in_no_argument_and_only_in_files_of_the_server(launcher: ProcessSessions, place: Place) -> None:
    url = ready(launcher, "one")
    httpx.get(f"{url}lab", params={"token": TOKEN}).raise_for_status()
    for process in place.processes():
        assert TOKEN.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    written = [path for path in place.folder("one").rglob("*") if path.is_file() and not path.is_symlink()]
    holding = [path.name for path in written if TOKEN.encode() in path.read_bytes()]
    assert [name for name in holding if not name.startswith("jpserver-")] == []  # in its HOME, for its commands
    assert "Jupyter Server" in place.log("one")


def test_a_kernel_gets_the_binder_variables_and_none_of_the_operator(
    launcher: ProcessSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BINDERY_SECRET", "of the control plane")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the control plane")
    monkeypatch.setenv("GITHUB_TOKEN", "of the control plane")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:password@proxy.example:1")
    url = ready(launcher, "one", BINDER_REPO_URL="https://example.org/x")
    variables = kernel_of(url).run("import os; print(dict(os.environ))")
    assert "'BINDER_REPO_URL': 'https://example.org/x'" in variables
    assert "control plane" not in variables
    assert "password" not in variables


def test_a_kernel_runs_in_its_own_copy_with_its_own_home(launcher: ProcessSessions, place: Place) -> None:
    kernel = kernel_of(ready(launcher, "one"))
    output = kernel.run("import os, sys; print(os.getcwd(), os.environ['HOME'], sys.prefix)").split()
    assert output == [
        str(place.folder("one") / "work"),
        str(place.folder("one") / "home"),
        str(place.environment.python.parent.parent),
    ]
    assert "hello" in kernel.run("print(open('README.md').read())")


def activity_of(launcher: ProcessSessions, url: str) -> Activity:
    answer = launcher.activity({"one": (url, TOKEN)}, 10)["one"]
    assert answer
    return answer


def test_a_silently_computing_kernel_is_busy(launcher: ProcessSessions, place: Place) -> None:
    url = ready(launcher, "one")
    release = place.home / "release"
    with kernel_of(url).running(
        f"import os, time\nwhile not os.path.exists({str(release)!r}): time.sleep(0.05)"
    ) as answers:
        until(lambda: activity_of(launcher, url).busy)
        release.touch()
        assert [message["msg_type"] for message in answers][-1] == "status"
        until(lambda: not activity_of(launcher, url).busy)


def test_an_activity_query_is_no_activity_but_a_request_is(launcher: ProcessSessions) -> None:
    url = ready(launcher, "one")
    first = activity_of(launcher, url).last
    assert activity_of(launcher, url).last == first
    httpx.get(f"{url}api/contents", headers=authorized()).raise_for_status()
    assert activity_of(launcher, url).last > first


def test_stop_ends_a_busy_kernel_and_removes_every_file(launcher: ProcessSessions, place: Place) -> None:
    url = ready(launcher, "one")
    code = """
import os, tempfile
inner = tempfile.mkdtemp()
open(inner + '/file', 'w').close()
os.chmod(inner, 0o500)
print(os.getpid(), inner)
while True: pass"""
    with kernel_of(url).running(code) as answers:
        message = next(message for message in answers if message["msg_type"] == "stream")
        pid, temporary = str(message["content"]["text"]).split()  # type: ignore[index]
        locked = place.folder("one") / "work" / "locked"
        locked.mkdir()
        (locked / "file").touch()
        (locked / "link").symlink_to(place.home)
        locked.chmod(0o500)
        launcher.stop("one")
    assert not Path(f"/proc/{pid}").exists()
    assert not Path(temporary).exists()
    assert not place.folder("one").exists()
    assert place.lock.exists()
    assert place.processes() == []


def test_child_processes_of_a_killed_server_end_with_it(launcher: ProcessSessions, place: Place) -> None:
    kernel = kernel_of(ready(launcher, "one"))
    hidden = kernel.run(
        "import subprocess; p = subprocess.Popen(['setsid', 'env', '-i', 'sleep', '1000']); print(p.pid, end='')"
    )
    keeper = place.keeper(launcher, "one")
    os.kill(lab_server(keeper).pid, signal.SIGKILL)
    until(lambda: not alive(keeper))
    assert place.processes() == []
    assert not Path(f"/proc/{hidden}").exists()
    assert "signal 9" in gone(launcher, "one").why


def test_a_stop_finds_the_session_after_its_reaper_was_killed(launcher: ProcessSessions, place: Place) -> None:
    kernel_of(ready(launcher, "one"))
    os.kill(place.keeper(launcher, "one").pid, signal.SIGKILL)
    assert gone(launcher, "one").liveness is Liveness.GONE
    assert place.processes() != []
    launcher.stop("one")
    assert place.processes() == []


def test_processes_without_a_folder_are_found_and_stopped(launcher: ProcessSessions, place: Place) -> None:
    ready(launcher, "one")
    place.folder("one").rename(place.home / "elsewhere")
    assert [each.id for each in launcher.list_sessions()] == ["one"]
    launcher.stop("one")
    assert place.processes() == []


def test_a_folder_without_processes_is_found_and_removed(launcher: ProcessSessions, place: Place) -> None:
    place.folder("half").mkdir(parents=True)
    assert [(each.id, each.alive) for each in launcher.list_sessions()] == [("half", False)]
    assert launcher.wait("half", TOKEN, 5).liveness is Liveness.GONE
    launcher.stop("half")
    assert not place.folder("half").exists()


def test_temporary_files_alone_are_found_and_removed(launcher: ProcessSessions) -> None:
    launcher._folder("left").temporary.mkdir()
    assert [(each.id, each.alive) for each in launcher.list_sessions()] == [("left", False)]
    launcher.stop("left")
    assert not launcher._folder("left").temporary.exists()


def test_a_new_control_plane_finds_the_sessions_of_the_previous_one(launcher: ProcessSessions, place: Place) -> None:
    place.contents.notes = ("large files are missing",)
    url = ready(launcher, "one")
    second = place.launcher()
    assert second.wait("one", TOKEN, 5) == SessionReport(Liveness.READY, url=url, notes=("large files are missing",))
    assert activity_of(second, url)
    second.start(order_of("one"))
    assert second.wait("one", TOKEN, 5).url == url
    second.stop_all()
    second.close()
    assert place.processes() == []


def test_sessions_of_another_home_are_not_stopped(launcher: ProcessSessions, place: Place, tmp_path: Path) -> None:
    ready(launcher, "one")
    other = replace(place, home=tmp_path / "other").launcher()
    assert other.list_sessions() == []
    other.stop_all()
    other.stop("one")
    other.close()
    assert launcher.wait("one", TOKEN, 5).liveness is Liveness.READY


def test_concurrent_starts_create_one_session(launcher: ProcessSessions, place: Place) -> None:
    threads = [threading.Thread(target=launcher.start, args=(order_of("one"),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert place.contents.checkouts == 1
    ready(launcher, "one")


def test_a_final_stop_after_concurrent_starts_and_stops_removes_the_session(
    launcher: ProcessSessions, place: Place
) -> None:
    starts = [threading.Thread(target=launcher.start, args=(order_of("one"),)) for _ in range(2)]
    stops = [threading.Thread(target=launcher.stop, args=("one",)) for _ in range(2)]
    for thread in (*starts, *stops):
        thread.start()
    for thread in (*starts, *stops):
        thread.join()
    launcher.stop("one")
    assert place.processes() == []
    assert launcher.list_sessions() == []


def test_the_environment_is_locked_during_the_session(launcher: ProcessSessions, place: Place) -> None:
    ready(launcher, "one")
    assert is_held(place.lock)
    launcher.stop("one")
    assert not is_held(place.lock)


def test_unavailable_content_starts_no_session(launcher: ProcessSessions, place: Place) -> None:
    place.contents.error = RepositoryTooLarge(url="https://example.org/x", limit="500 MB")
    with pytest.raises(RepositoryTooLarge):
        launcher.start(order_of("one"))
    assert launcher.list_sessions() == []
    assert not is_held(place.lock)


def test_an_unwritable_disk_is_reported(launcher: ProcessSessions, place: Place) -> None:
    (place.home / "sessions").write_text("a file where the folder should be")
    with pytest.raises(LauncherDown):
        launcher.start(order_of("one"))
    (place.home / "sessions").unlink()


def test_a_session_on_an_occupied_port_ends_and_its_next_start_uses_another(
    launcher: ProcessSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(launcher, "one")
    taken = int(launcher.wait("one", TOKEN, 0).url.rsplit(":", 1)[1].strip("/"))
    with monkeypatch.context() as patched:
        patched.setattr(launcher._ports, "take", lambda _session: taken)
        launcher.start(order_of("two"))
    assert str(taken) in gone(launcher, "two").why
    ready(launcher, "two")


def test_the_question_about_jupyterlab_news_is_turned_off(launcher: ProcessSessions) -> None:
    url = ready(launcher, "one")
    address = f"{url}lab/api/settings/@jupyterlab/apputils-extension:notification"
    answer = httpx.get(address, headers=authorized()).raise_for_status().json()
    assert answer["settings"] == {"fetchNews": "false"}


def test_a_foreign_host_name_is_refused(launcher: ProcessSessions) -> None:
    url = ready(launcher, "one")
    assert httpx.get(f"{url}api/status", headers={**authorized(), "Host": "evil.example"}).status_code == 403


def test_only_listed_sites_may_read_a_session(place: Place) -> None:
    place.allowed_origins = ("https://docs.example.org", "https://other.example.org")
    launcher = place.launcher()
    try:
        url = ready(launcher, "one")
        answers = {
            origin: httpx.get(f"{url}api/status", headers={**authorized(), "Origin": origin}).headers
            for origin in (
                "https://docs.example.org",
                "https://docs.example.org.evil.example",
                "https://docsXexample.org",
            )
        }
    finally:
        launcher.stop_all()
        launcher.close()
    allowed = [origin for origin, headers in answers.items() if "access-control-allow-origin" in headers]
    assert allowed == ["https://docs.example.org"]


def test_without_a_list_no_foreign_site_may_use_the_cookie_of_a_visitor(launcher: ProcessSessions) -> None:
    url = ready(launcher, "one")
    with httpx.Client(trust_env=False) as browser:
        browser.get(f"{url}lab", params={"token": TOKEN})
        answer = browser.get(f"{url}api/status", headers={"Origin": "https://docs.example.org"})
    assert "access-control-allow-origin" not in answer.headers


def test_a_start_script_outside_the_copy_is_refused(launcher: ProcessSessions, place: Place) -> None:
    place.environment = replace(place.environment, start=Path("../../../../../bin/sh"))
    with pytest.raises(RepositoryUnusable):
        launcher.start(order_of("one"))
    assert launcher.list_sessions() == []


class Dripping(WrittenContents):
    """A host that never finishes its answer."""

    def __init__(self) -> None:
        super().__init__({})
        self.requested = threading.Semaphore(0)

    def checkout(
        self,
        repository: Repository,
        folder: Path,
        seconds: float | None = None,
        stopped: Callable[[], bool] = lambda: False,
        *,
        exact: bool = False,
    ) -> Checkout:
        assert seconds
        self.requested.release()
        until(stopped, seconds)
        raise HostUnreachable(host="example.org", why="it was stopped")


@pytest.mark.parametrize("everything", [False, True])
def test_a_stop_does_not_wait_for_slow_content(launcher: ProcessSessions, place: Place, everything: bool) -> None:
    dripping = place.contents = Dripping()
    launcher = place.launcher()
    failed: list[str] = []

    def start(session: str) -> None:
        try:
            launcher.start(order_of(session))
        except HostUnreachable as error:
            failed.append(f"{session} {error.facts['why']}")

    threads = [threading.Thread(target=start, args=(session,)) for session in ("one", "two")]
    for thread in threads:
        thread.start()
        dripping.requested.acquire(timeout=ENOUGH)
    assert {each.id: each.alive for each in launcher.list_sessions()} == {"one": True, "two": True}
    if everything:
        launcher.stop_all()
    else:
        launcher.stop("one")
        until(lambda: failed == ["one it was stopped"])
        launcher.close()  # so that the other ends too
    for thread in threads:
        thread.join()
    assert sorted(failed) == ["one it was stopped", "two it was stopped"]
    assert launcher.list_sessions() == []
    launcher.close()


def test_a_closed_launcher_starts_no_session(launcher: ProcessSessions) -> None:
    launcher.close()
    with pytest.raises(LauncherDown):
        launcher.start(order_of("one"))
    assert launcher.list_sessions() == []


def test_a_session_that_cannot_be_removed_does_not_block_stopping_others(
    launcher: ProcessSessions, place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for session in ("one", "two"):
        place.folder(session).mkdir(parents=True)
    remove = SessionFolder.remove

    def stuck(folder: SessionFolder) -> None:
        if folder.path.name == "one":
            raise PermissionError(1, "Operation not permitted")  # a file that may not be changed
        remove(folder)

    with monkeypatch.context() as patched:
        patched.setattr(SessionFolder, "remove", stuck)
        launcher.stop_all()
    assert [each.id for each in launcher.list_sessions()] == ["one"]
    assert "session one could not be stopped" in caplog.text


def test_all_processes_can_be_killed_at_once(launcher: ProcessSessions, place: Place) -> None:
    kernel_of(ready(launcher, "one"))
    launcher.kill_all()
    until(lambda: place.processes() == [])
    assert [(each.id, each.alive) for each in launcher.list_sessions()] == [("one", False)]
