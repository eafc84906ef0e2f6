"""Tests of sessions on another commit than their image's, on a real cluster. Their files are exactly their commit's,
or the launch fails in words.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import pytest

from bindery.adapters.kubernetes.launcher import KubernetesSessions
from bindery.domain.environment import Scope
from bindery.domain.errors import ContentUnavailable
from bindery.domain.launch import Stage
from bindery.domain.sessions import Liveness, SessionOrder
from bindery.ports.repository_provider import Resolved
from bindery.web.errors.render import error_message
from tests.cluster.layers import push
from tests.cluster.on_cluster import OnCluster
from tests.cluster.shared_image import ENVIRONMENT, HOME, shared
from tests.cluster.trials import Trials, report_of_end
from tests.fakes.host import FakeHost
from tests.serving.git_http import File, GitServer, git, make_repository
from tests.serving.kernel import Session
from tests.serving.lab import TOKEN
from tests.serving.names import localhost_names

__all__ = ["localhost_names"]
pytestmark = pytest.mark.usefixtures("localhost_names")

OLD: Mapping[str, str | bytes | File] = {
    "kept.txt": "kept",
    "changed.txt": "old",
    "removed.txt": "old",
    "folder/removed.txt": "old",
}
NEW: Mapping[str, str | bytes | File] = {
    "kept.txt": "kept",
    "changed.txt": "new",
    "built.txt": "the commit's",
    "folder/new file.txt": "new",
    "tool": File("#!/bin/sh\n", 0o100755),
}
LOOK = """
import subprocess
from pathlib import Path
paths = [path for path in Path().rglob('*') if path.is_file() and path.parts[0][0] != '.' and '.git' not in path.parts]
files = {str(path): path.read_text() for path in paths}
print(sorted(files.items()), Path('tool').stat().st_mode & 0o100)
print(subprocess.run(['git', 'rev-parse', 'HEAD'], capture_output=True, text=True).stdout, end='')
print(subprocess.run(['git', 'rev-list', '--count', 'HEAD'], capture_output=True, text=True).stdout, end='')
print(subprocess.run(['git', 'status', '--porcelain', '--untracked=no'], capture_output=True, text=True).stdout, end='')
"""

BRIEF_LOOK = """
import subprocess
commit = subprocess.run(['git', 'rev-parse', 'HEAD'], capture_output=True, text=True).stdout.strip()
print(open('changed.txt').read(), commit)
"""


@dataclass(frozen=True)
class Place:
    """A repository, and an image that the launch of its old commit built. It has that commit's archive, and the
    results of the build.
    """

    trials: Trials
    server: GitServer
    image: str
    old: str
    new: str

    def order(self, ref: str = "", url: str = "") -> SessionOrder:
        """Return an order for the new commit, unless other values are passed."""
        order = self.trials.order(self.image)
        changed = {"ref": ref or self.new, "clone_url": url or self.server.url("x.git")}
        repository = order.repository.model_copy(update=changed)
        return order.model_copy(update={"repository": repository, "scope": Scope.FILES})


@pytest.fixture(scope="module")
def place(trials: Trials, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder, cluster = tmp_path_factory.mktemp("content"), trials.shipped.cluster
    with GitServer(folder / "served", cluster.host_address) as server:
        old = make_repository(server.root / "x.git", OLD)
        git("clone", "--quiet", server.url("x.git"), folder / "clone")
        new = make_repository(server.root / "x.git", NEW)
        by_build = {f"{HOME}/{name}": "by the build" for name in ("built.txt", "untracked.txt")}
        image = push(cluster.registry, "content", shared(folder / "clone", old, by_build))
        yield Place(trials, server, image, old, new)


@pytest.fixture(scope="module")
def launcher(trials: Trials) -> Iterator[KubernetesSessions]:
    with trials.launcher(session_environment=ENVIRONMENT) as launcher:
        yield launcher
    trials.shipped.remove_sessions()


def described_files(launcher: KubernetesSessions, order: SessionOrder) -> list[str]:
    """Start a session and return the lines that describe its files."""
    launcher.start(order)
    report = launcher.wait(order.id, TOKEN, 60)
    assert report.liveness is Liveness.READY, report
    return Session(report.url, TOKEN).run(LOOK).splitlines()


def test_a_session_has_exactly_the_files_of_the_new_commit(launcher: KubernetesSessions, place: Place) -> None:
    content = {name: file.content if isinstance(file, File) else file for name, file in NEW.items()}
    order = place.order()
    files = sorted({**content, "untracked.txt": "by the build"}.items())
    assert described_files(launcher, order) == [f"{files} 64", place.new, "2"]  # with its history of two commits
    launcher.stop(order.id)


class AtServer(FakeHost):
    """A host with one repository, `x.git` of a real server."""

    def __init__(self, server: GitServer, *commits: str) -> None:
        files: dict[str, dict[str, bytes] | None] = {
            commit: {"requirements.txt": b"numpy\n", "README.md": commit.encode()} for commit in commits
        }
        super().__init__(heads={"o/r": commits[0]}, files=files)
        self._url = server.url("x.git")

    def resolve(self, spec: str) -> Resolved:
        resolution = super().resolve(spec)
        return replace(resolution, repository=resolution.repository.model_copy(update={"clone_url": self._url}))


def test_a_push_without_configuration_changes_reuses_the_image(launcher: KubernetesSessions, place: Place) -> None:
    host = AtServer(place.server, place.old, place.new)
    world = OnCluster(launcher, place.image, host)
    before = world.ended()
    host.heads["o/r"] = place.new
    after = world.ended()
    assert (before.stage, after.stage, len(world.builds.reports)) == (Stage.READY, Stage.READY, 1)
    looks = [Session(record.url, record.token).run(BRIEF_LOOK) for record in map(world.session, (before, after))]
    assert looks == [f"old {place.old}\n", f"new {place.new}\n"]


def test_the_commit_of_the_image_needs_no_repository_host(launcher: KubernetesSessions, place: Place) -> None:
    nobody = f"http://{place.trials.shipped.cluster.host_address}:9/x.git"
    order, before = place.order(ref=place.old, url=nobody), len(place.server.requests)
    launcher.start(order)
    report = launcher.wait(order.id, TOKEN, 60)
    assert report.liveness is Liveness.READY, report
    assert Session(report.url, TOKEN).run(BRIEF_LOOK) == f"old {place.old}\n"
    assert len(place.server.requests) == before
    launcher.stop(order.id)


def failures(launcher: KubernetesSessions, *orders: SessionOrder) -> list[str]:
    """Start the launches beside each other and return the reason of each failure."""
    for order in orders:
        launcher.start(order)
    reasons = []
    for order in orders:
        trouble = report_of_end(launcher, order.id).trouble
        assert isinstance(trouble, ContentUnavailable), (order, trouble)
        assert trouble.facts["ref"] == order.repository.ref
        reasons.append(str(trouble.facts["why"]))
        launcher.stop(order.id)
    return reasons


def test_unavailable_content_fails_with_a_message(launcher: KubernetesSessions, place: Place) -> None:
    nobody = f"http://{place.trials.shipped.cluster.host_address}:9/x.git"
    down, unknown, gone = failures(
        launcher,
        place.order(url=nobody),
        place.order(ref="f" * 40),
        place.order(url=place.server.url("gone.git")),
    )
    assert f"unable to access '{nobody}/'" in down
    assert "not our ref" in unknown
    assert f"repository '{place.server.url('gone.git')}/' not found" in gone
    assert error_message(ContentUnavailable(ref=place.new, why=down)).message == (
        f"The session's files could not be brought to {place.new}: {down}. Launch again; "
        "if that does not help, look whether its repository can be reached by everybody."
    )


def test_submodules_are_fetched_except_from_local_file_addresses(place: Place, launcher: KubernetesSessions) -> None:
    part = make_repository(place.server.root / "part.git", {"inside.txt": "of a submodule"})

    def commit(url: str) -> str:
        module = f'[submodule "part"]\n\tpath = part\n\turl = {url}\n'
        files: Mapping[str, str | bytes | File] = {**NEW, ".gitmodules": module, "part": File(part, 0o160000)}
        return make_repository(place.server.root / "x.git", files, branch="modules")

    order = place.order(ref=commit(place.server.url("part.git")))
    assert "('part/inside.txt', 'of a submodule')" in described_files(launcher, order)[0]
    launcher.stop(order.id)
    without = place.order(ref=commit("file:///srv"))  # it stays empty, and the session starts
    assert "inside.txt" not in described_files(launcher, without)[0]
    launcher.stop(without.id)


COMMAND = "git ls-remote http://{host}/owned.git"
HOSTILE = (
    f"--upload-pack={COMMAND};",
    f"$({COMMAND})",
    f"`{COMMAND}`",
    f"'; {COMMAND}; '",
    f'"; {COMMAND}; "',
    f"x\n{COMMAND}\n",
    f"ext::{COMMAND}",
    "$(JUPYTER_TOKEN)",
    "$JUPYTER_TOKEN",
    "-h",
    "two words",
)


def test_an_address_or_ref_is_never_run_as_a_command(launcher: KubernetesSessions, place: Place) -> None:
    values = [value.replace("{host}", place.server.address) for value in HOSTILE]
    orders = [place.order(**{what: value}) for value in values for what in ("url", "ref")]
    assert not [why for why in failures(launcher, *orders) if TOKEN in why]
    assert not [request for request in place.server.requests if "owned" in request]
