"""Tests of a visitor's way from a link to a session, on the real local runtime."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.serving.git_http import GitServer, make_repository
from tests.serving.kernel import Session
from tests.serving.runtime import LocalRuntime, Stream

ORDER = ["waiting", "fetching", "building", "built", "launching", "ready"]
BINDER = ("BINDER_LAUNCH_HOST", "BINDER_REF_URL", "BINDER_REPO_URL", "BINDER_REQUEST", "BINDER_PERSISTENT_REQUEST")


def test_a_repository_is_rebuilt_only_when_its_environment_changes(
    bindery: LocalRuntime, git_server: GitServer, spec_of: Callable[..., str]
) -> None:
    folder, spec = git_server.root / "demo.git", spec_of("demo.git")
    first = make_repository(folder, {"README.md": "first\n", "requirements.txt": "iniconfig\n"})

    launched = bindery.launch(spec)
    assert launched.phases == ORDER
    check_ready(launched, bindery, spec, spec_of("demo.git", first))
    session = Session.of(launched.last.data)
    assert session.run("import iniconfig; print(iniconfig.__name__)") == "iniconfig\n"
    values = session.run(f"import os\nfor name in {BINDER}: print(os.environ[name])").split()
    repository = git_server.url("demo.git")
    assert values == [
        f"{bindery.address}/",
        repository,
        repository,
        f"v2/git/{spec}",
        f"v2/git/{spec_of('demo.git', first)}",
    ]

    second = make_repository(folder, {"README.md": "second\n", "requirements.txt": "iniconfig\n"})
    launched = bindery.launch(spec)
    assert launched.phases == ["built", "launching", "ready"]
    assert launched.events[0].message == "Found built image, launching...\n"
    session = Session.of(launched.last.data)
    look = "import subprocess\nprint(open('README.md').read(), end='')\n"
    look += "for line in ('git rev-parse HEAD', 'git status --porcelain'): "
    look += "print(subprocess.run(line.split(), capture_output=True, text=True, check=True).stdout, end='')"
    assert session.run(look) == f"second\n{second}\n"

    make_repository(folder, {"README.md": "second\n", "requirements.txt": "iniconfig\ntoolz\n"})
    launched = bindery.launch(spec)
    assert launched.phases == ORDER
    assert Session.of(launched.last.data).run("import toolz; print(toolz.__name__)") == "toolz\n"


def check_ready(launched: Stream, bindery: LocalRuntime, spec: str, persistent: str) -> None:
    ready = launched.last.data
    built = next(event for event in launched.events if event.phase == "built")
    assert ready["url"].endswith("/")
    assert len(ready["token"]) >= 32
    assert ready["message"] == f"server running at {ready['url']}\n"
    assert ready["image"] == built.data["imageName"]
    assert ready["binder_launch_host"] == f"{bindery.address}/"
    assert ready["binder_request"] == f"v2/git/{spec}"
    assert ready["binder_persistent_request"] == f"v2/git/{persistent}"
    assert ready["binder_client_ip"] == "127.0.0.1"
    assert all(event.id for event in launched.events)


def test_eight_visitors_of_a_new_commit_share_one_build_with_one_session_each(
    bindery: LocalRuntime, git_server: GitServer, spec_of: Callable[..., str]
) -> None:
    make_repository(git_server.root / "crowd.git", {"requirements.txt": "toolz\n"})
    before = built(bindery)
    with ThreadPoolExecutor(8) as visitors:
        launched = list(visitors.map(lambda _: bindery.launch(spec_of("crowd.git")), range(8)))
    assert [stream.last.phase for stream in launched] == ["ready"] * 8
    assert built(bindery) - before == 1
    assert len({stream.last.data["image"] for stream in launched}) == 1
    sessions = {Session.of(stream.last.data) for stream in launched}
    assert len({session.token for session in sessions}) == len({session.url for session in sessions}) == 8
    assert all(session.answers() for session in sessions)
    one, other, *_ = sessions
    assert not Session(one.url, other.token).answers()


def built(bindery: LocalRuntime) -> float:
    """Return the number of builds that have ended well."""
    return bindery.total("binderhub_build_count_total", status="success")
