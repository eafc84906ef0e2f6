"""Sessions of an image that several commits share: repo2docker's real Dockerfile and entry point, and the Pod's real command.

The image is put together without the steps that need a network. A session runs in it as on a node, as the image's user.
"""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from bindery.adapters.clock import SystemClock
from bindery.adapters.http.client import GuardedClient
from bindery.adapters.kubernetes.manifests import Making, pod
from bindery.adapters.oci_registry import Registry
from bindery.domain.builds import BuildOrder
from bindery.domain.environment import Environment, EnvironmentState, Identity, Scope
from bindery.domain.repository import Entry, Repository, Tree
from bindery.domain.resources import Resources
from bindery.domain.sessions import SessionOrder
from bindery.usecases.steps.identify_environment import IdentifyEnvironment
from bindery_builder.build_log import BuildLog
from bindery_builder.contents.git import GitContents
from bindery_builder.images.build import ContainerAttempt
from bindery_builder.images.context import COMMIT_FOLDER
from bindery_builder.images.tool import ContainerTool, Desk
from bindery_builder.process.runner import Growth, Runner
from bindery_builder.task import Task
from tests.building import RecordingQueue
from tests.serving.git_http import File, GitServer, git, make_repository
from tests.serving.image_root import OUT, Ended, Image, need_root, python
from tests.serving.lab import TOKEN

Files = Mapping[str, str | File]
LINK, PROGRAM = 0o120000, 0o100755
START = File('#!/bin/bash\n[ ! -e hook.sh ] || . ./hook.sh\nexec "$@"\n', PROGRAM)
KEYED: Files = {"requirements.txt": "six\n", "start": START}
STARTUP = (".bash_profile", ".profile", ".bash_login", ".bashrc", "hook.sh", ".ipython/profile_default/startup/00.sh")
PYTHON = ("sitecustomize.py", "usercustomize.py", "json.py", f".local/lib/{python()}/site-packages/usercustomize.py")
PROGRAMS = ("python3", "sh", "bash", "git", "tar", "env", "rm", "chmod", "jupyter-lab")
LEFT = {".cache/pip/http": "kept by pip", ".conda/environments.txt": "/srv/conda\n", ".profile": "# of /etc/skel\n"}
STATUS = "status --porcelain --untracked-files=no"
SPECIAL = (".gitattributes", ".config", ".cache", ".cache/pip", ".conda", "data", ".jupyter")


def spy(commit: str, path: str) -> str | File:
    """Return a file of `commit`. If a program runs it, it writes the commit's name into a file that a test reads."""
    record = f"echo {commit} {path} >>/{OUT}/ran"
    if path.endswith(".py"):
        return f"open('/{OUT}/ran', 'a').write('{commit} {path}\\n')\n"
    if path.startswith(".local/bin/"):
        name = path.rpartition("/")[2]
        real = "/srv/conda/envs/notebook/bin" if name == "jupyter-lab" else "/usr/bin"
        return File(f'#!/usr/bin/dash\n{record}\nexec {real}/{name} "$@"\n', PROGRAM)
    return f"{record}\n"


def hostile(commit: str, **more: str | File) -> Files:
    """Return every file that a part of the start might run."""
    paths = [*STARTUP, *PYTHON, *(f".local/bin/{name}" for name in PROGRAMS)]
    return {**KEYED, **{path: spy(commit, path) for path in paths}, **more}


@st.composite
def trees(draw: st.DrawFn, commit: str) -> Files:
    """Return some of those files, and names that build steps use too, as files, programs, links or folders."""
    paths = [*STARTUP, *PYTHON, *(f".local/bin/{name}" for name in PROGRAMS)]
    files: dict[str, str | File] = {path: spy(commit, path) for path in draw(st.sets(st.sampled_from(paths)))}
    for path in draw(st.sets(st.sampled_from(SPECIAL))):
        match draw(st.sampled_from(("file", "program", "link", "folder"))):
            case "file":
                files[path] = "* text eol=crlf\n" if path == ".gitattributes" else f"{commit}\n"
            case "program":
                files[path] = File(f"#!/bin/sh\n# {commit}\n", PROGRAM)
            case "link":
                files[path] = File(draw(st.sampled_from(("/etc", "../..", "nowhere", "requirements.txt"))), LINK)
            case "folder":
                files[f"{path}/inner"] = f"{commit}\n"
    complete = {path: content for path, content in files.items() if not any(f"{path}/" in other for other in files)}
    return {**complete, **KEYED}


@dataclass
class Place:
    """A host, and the means to build and run its commits. Each image has a folder of its own."""

    folder: Path
    server: GitServer
    contents: GitContents
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def commit(self, files: Files, branch: str = "main") -> Repository:
        return self.repository(make_repository(self.server.root / "r.git", files, branch=branch))

    def repository(self, ref: str) -> Repository:
        url = self.server.url("r.git")
        return Repository(
            provider="git", spec="s", ref=ref, resolved_spec="s", clone_url=url, repo_url=url, ref_url=url
        )

    def tree(self, commit: Repository) -> Tree:
        listed = git("-C", self.server.root / "r.git", "ls-tree", "-r", "-z", commit.ref).decode().split("\0")
        rows = [line.split(maxsplit=3) for line in listed if line]
        entries = {path: Entry(path, int(mode, 8), blob) for mode, _, blob, path in rows}
        root = git("-C", self.server.root / "r.git", "rev-parse", f"{commit.ref}^{{tree}}").decode().strip()
        return Tree(root, entries)

    def identity(self, commit: Repository) -> Identity:
        """Return the identity that a launch of the commit finds."""
        provider = Provider(self, self.tree(commit))
        return IdentifyEnvironment(_Builds(), _NoCommits())(provider, commit)  # type: ignore[arg-type] # enough of them

    def order(self, commit: Repository) -> BuildOrder:
        identity = self.identity(commit)
        environment = Environment(
            key=identity.key,
            scope=identity.scope,
            inputs=identity.inputs,
            state=EnvironmentState.BUILDING,
            attempt=1,
            claimed_by="launch",
            claimed_at=0,
            repository=commit,
        )
        return BuildOrder.of(environment, 600)

    def image(self, commit: Repository, left: Mapping[str, str] = LEFT) -> Image:
        """Return the image that a build of the commit makes."""
        folder = self.folder / f"image{next(self._numbers)}"
        (folder / "attempt").mkdir(parents=True)
        tool, desk = ContainerTool("buildah", folder / "containers"), Desk(folder / "attempt")
        log, stopped = BuildLog(RecordingQueue(), "env", 1), threading.Event()
        until = time.monotonic() + 600
        runner = Runner(tool.environment(os.environ, desk), until, stopped, log, Growth(folder, 10**10))
        task = Task(self.order(commit), folder / "attempt", until, stopped, log)
        attempt = ContainerAttempt(task, self.contents, tool, Registry("localhost:9"), runner)
        return Image.assembled(attempt.context(), folder / "root", left)

    def session(self, image: Image, commit: Repository) -> Ended:
        order = SessionOrder(
            id="one",
            token=TOKEN,
            image="image",
            scope=Scope.FILES,
            repository=commit,
            variables={"BINDER_REQUEST": "v2/git/s"},
        )
        (container,) = pod(order, "run", {"metadata": {"name": "s", "uid": "u"}}, Making("g", "d", Resources()))[
            "spec"
        ]["containers"]
        return image.run(container, order.variables)


@dataclass(frozen=True)
class Provider:
    """A provider with the host's answers about one commit."""

    place: Place
    listing: Tree

    def tree(self, repository: Repository) -> Tree:
        return self.listing

    def read(self, repository: Repository, entry: Entry) -> bytes:
        return git("-C", self.place.server.root / "r.git", "cat-file", "blob", entry.id)


class _Builds:
    name = "containers"


class _NoCommits:
    def identity(self, *_: object) -> None:
        """Return None: no identity is remembered."""

    def keep(self, *_: object) -> None:
        """Drop the identity: this store keeps no identity."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    need_root()
    folder = tmp_path_factory.mktemp("shared")
    folder.chmod(0o755)
    (folder / "served").mkdir()
    with GitServer(folder / "served") as server:
        client = GuardedClient([server.address])
        yield Place(folder, server, GitContents(folder / "cache", client, SystemClock()))
        client.close()


def same_as_fresh(place: Place, own_files: Files, other_files: Files, left: Mapping[str, str] = LEFT) -> Ended:
    """Return the session of a commit in an image that another commit's launch built.

    Check that it equals a session in the commit's own image.
    """
    other, commit = place.commit(other_files, "pull"), place.commit(own_files)
    assert place.identity(other) == place.identity(commit)
    assert place.identity(commit).scope is Scope.FILES
    shared = place.session(place.image(other, left), commit)
    fresh = place.session(place.image(commit, left), commit)
    assert (shared.code, shared.reason) == (0, ""), shared.log
    assert (fresh.code, fresh.reason) == (0, ""), fresh.log
    assert "THEIRS" not in shared.records + shared.log
    assert shared.records == fresh.records
    assert shared.files == fresh.files
    assert shared.environment == fresh.environment
    for question in ("rev-parse HEAD", "log -1 --format=%an%s", "remote get-url origin", STATUS):
        assert shared.git(*question.split()) == fresh.git(*question.split())
    assert not (shared.root / "home/jovyan/.git/hooks").exists()
    assert list((shared.root / COMMIT_FOLDER[1:] / "content").iterdir()) == []
    return shared


@example(ours=hostile("OURS"), theirs=hostile("THEIRS"))
@example(ours=KEYED, theirs=hostile("THEIRS"))
@example(ours={**KEYED, ".cache": "a file", ".conda": File("/etc", LINK)}, theirs=hostile("THEIRS"))
@example(ours={**KEYED, ".gitattributes": "* text eol=crlf ident\n", "a": "$Id$\n"}, theirs=KEYED)
@given(ours=trees("OURS"), theirs=trees("THEIRS"))
@settings(
    max_examples=6,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_session_in_a_shared_image_of_a_hostile_commit_equals_a_fresh_build(
    place: Place, ours: Files, theirs: Files
) -> None:
    ended = same_as_fresh(place, ours, theirs)
    shutil.rmtree(ended.root.parent)


def test_the_files_of_the_commit_run_as_in_its_own_image(place: Place) -> None:
    ended = same_as_fresh(place, hostile("OURS"), KEYED)
    ran = {line.removeprefix("OURS ") for line in ended.records.splitlines()}
    assert {".bash_profile", "hook.sh", ".local/bin/python3", ".local/bin/git", ".local/bin/jupyter-lab"} <= ran


def test_a_session_of_the_commit_of_the_image_sends_no_request(place: Place) -> None:
    commit = place.commit({**KEYED, "data.txt": "x"})
    image = place.image(commit)
    before = len(place.server.requests)
    ended = place.session(image, commit)
    assert (ended.code, (ended.root / "home/jovyan/data.txt").read_text()) == (0, "x"), ended.log
    assert len(place.server.requests) == before
    assert ended.git(*STATUS.split()) == ""


def submodule(place: Place, path: str, files: Files, name: str) -> Files:
    """Return a tree with a submodule at `path`."""
    inner = make_repository(place.server.root / f"{name}.git", files)
    modules = f'[submodule "{name}"]\n\tpath = {path}\n\turl = {place.server.url(f"{name}.git")}\n'
    return {**KEYED, ".gitmodules": modules, path: File(inner, 0o160000)}


def test_no_submodule_of_another_commit_remains_in_a_session(place: Place) -> None:
    code = {"profile_default/startup/00.py": spy("THEIRS", "00.py")}
    ended = same_as_fresh(place, KEYED, submodule(place, ".ipython", code, "theirs"))
    assert not (ended.root / "home/jovyan/.ipython").exists()


def test_a_commit_has_its_own_submodules_in_a_shared_image(place: Place) -> None:
    other = submodule(place, "part", {"inner.txt": "THEIRS"}, "theirs")
    ended = same_as_fresh(place, submodule(place, "part", {"inner.txt": "OURS"}, "ours"), other)
    assert (ended.root / "home/jovyan/part/inner.txt").read_text() == "OURS"


def test_an_unavailable_commit_ends_the_session_with_a_message_before_anything_runs(place: Place) -> None:
    built = place.commit(hostile("THEIRS"))
    ended = place.session(place.image(built), place.repository("f" * 40))
    assert (ended.code, ended.records) == (76, "")
    assert ended.reason.startswith("bindery content: fatal: ")
    assert "not our ref" in ended.reason


def test_a_shared_build_reads_only_the_files_of_its_key(place: Place) -> None:
    commit = place.commit(
        {**hostile("THEIRS"), "binder/requirements.txt": "-r more/deep.txt\n", "binder/more/deep.txt": ""}
    )
    image = place.image(commit, {})
    home = image.root / "home/jovyan"
    paths = {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()}
    assert paths == {"binder/requirements.txt", "binder/more/deep.txt"}
    assert (image.root / COMMIT_FOLDER[1:] / "content" / f"{commit.ref}.tar").is_file()


def test_a_shared_image_ignores_the_modes_of_configuration_files(place: Place) -> None:
    other = {**KEYED, "requirements.txt": File("six\n", PROGRAM)}
    ended = same_as_fresh(place, {**KEYED, "start": str(START.content)}, other)
    assert (ended.root / "home/jovyan/start").stat().st_mode & 0o777 == 0o755


def test_a_session_stopped_during_the_fetch_of_its_commit_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    with GitServer(tmp_path / "served") as server:
        ref = make_repository(tmp_path / "served" / "r.git", KEYED)
        server.halves.add("/r.git")
        script = files("bindery.adapters.kubernetes").joinpath("checkout.sh").read_text()
        command = ["/bin/sh", "-c", script, "checkout", ref, server.url("r.git"), "HEAD", "/bin/true"]
        variables = {"PATH": os.environ["PATH"], "REPO_DIR": str(tmp_path / "home")}
        started = subprocess.Popen(command, env=variables, start_new_session=True)
        try:
            until = time.monotonic() + 60
            while not server.sent and time.monotonic() < until:
                time.sleep(0.02)
            started.terminate()
            assert started.wait(60) == 143
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)
