"""A session on another commit than its image's has exactly its own commit's files before its server starts, or none at all."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from bindery.adapters.sessions.kubernetes import KubernetesSessions
from bindery.domain.errors import ContentNotHad
from bindery.domain.sessions import Liveness, SessionOrder, SessionReport
from tests.cluster.layers import Layer, push
from tests.cluster.shipped import Shipped
from tests.serving.git_http import GitServer, git, make_repository
from tests.serving.lab import TOKEN, authorized, kernel_of, order_of
from tests.serving.names import localhost_names

__all__ = ["localhost_names"]
pytestmark = pytest.mark.usefixtures("localhost_names")

FIRST = {"README.md": "first\n", "gone.txt": "only in the first\n", "data/kept.csv": "1\n"}
SECOND = {"README.md": "second\n", "data/kept.csv": "1\n", "new/file.txt": "only in the second\n"}
LOOK = """
import pathlib, subprocess
print(sorted(str(p) for p in pathlib.Path('.').rglob('*.*') if p.is_file() and not str(p).startswith('.')))
print(open('README.md').read(), end='')
for words in ('git rev-parse HEAD', 'git status --porcelain --untracked-files=no'):
    print(subprocess.run(words.split(), capture_output=True, text=True, check=True).stdout, end='')
"""


@dataclass(frozen=True)
class Project:
    """A repository that Pods can reach. images: of the first commit, with git's own folder and without."""

    url: str
    first: str
    second: str
    images: dict[str, str]

    def order(self, session: str, ref: str, image: str, url: str = "") -> SessionOrder:
        given = order_of(session, ref=ref, image=self.images[image])
        repository = given.repository.model_copy(update={"clone_url": url or self.url})
        return given.model_copy(update={"repository": repository, "built_from": self.first})


@pytest.fixture(scope="module")
def project(shipped: Shipped, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("content")
    (folder / "git").mkdir()
    first = make_repository(folder / "git" / "demo.git", FIRST)
    git("clone", "--quiet", folder / "git" / "demo.git", folder / "clone")
    second = make_repository(folder / "git" / "demo.git", SECOND)
    registry = shipped.cluster.registry
    whole = push(registry, "whole", Layer(_files(folder / "clone")))
    bare = push(registry, "bare", Layer({f"/home/jovyan/{name}": text for name, text in FIRST.items()}))
    with GitServer(folder / "git", host=shipped.cluster.host_address) as server:
        yield Project(server.url("demo.git"), first, second, {"whole": whole, "bare": bare})


def _files(clone: Path) -> dict[str, bytes]:
    files = (path for path in clone.rglob("*") if path.is_file())
    return {f"/home/jovyan/{path.relative_to(clone)}": path.read_bytes() for path in files}


@pytest.fixture
def launcher(shipped: Shipped) -> Iterator[KubernetesSessions]:
    with shipped.sessions() as launcher:
        yield launcher


def outcome(launcher: KubernetesSessions, order: SessionOrder) -> SessionReport:
    launcher.start(order)
    report = launcher.wait(order.id, TOKEN, 90)
    while report.liveness is Liveness.STARTING:
        report = launcher.wait(order.id, TOKEN, 90)
    return report


@pytest.mark.parametrize("image", ["whole", "bare"])
def test_files_are_exactly_those_of_the_sessions_commit(
    launcher: KubernetesSessions, project: Project, image: str
) -> None:
    report = outcome(launcher, project.order("newer", project.second, image))
    assert report.liveness is Liveness.READY, report
    told = kernel_of(report.url).run(LOOK)
    assert told == f"['README.md', 'data/kept.csv', 'new/file.txt']\nsecond\n{project.second}\n"


def test_the_images_own_commit_takes_no_step_more(
    launcher: KubernetesSessions, project: Project, shipped: Shipped
) -> None:
    order = project.order("equal", project.first, "bare", url="http://127.0.0.1:1/nowhere")
    report = outcome(launcher, order)
    assert report.liveness is Liveness.READY, report
    assert httpx.get(f"{report.url}files/gone.txt", headers=authorized(), trust_env=False).text == FIRST["gone.txt"]
    (pod,) = shipped.pods("equal")
    assert "Bringing files" not in shipped.kubectl("logs", pod["metadata"]["name"])


@pytest.mark.parametrize(
    ("ref", "url", "words"),
    [
        ("", "http://127.0.0.1:1/nowhere", "127.0.0.1"),
        ("d" * 40, "", "d" * 40),
        ("", "file:///etc", "not allowed"),
        ("", "ext::sh -c 'touch /tmp/owned'", "not allowed"),
        ("--upload-pack=touch /tmp/owned", "", "touch /tmp/owned"),
        ("$(touch /tmp/owned)", "", "touch /tmp/owned"),
    ],
    ids=["host", "commit", "file", "ext", "option", "shell"],
)
def test_content_that_cannot_be_had_fails_the_session_in_words(
    launcher: KubernetesSessions, project: Project, ref: str, url: str, words: str
) -> None:
    order = project.order("failing", ref or project.second, "whole", url=url)
    report = outcome(launcher, order)
    assert report.liveness is Liveness.GONE
    assert isinstance(report.trouble, ContentNotHad), report
    assert words in " ".join(str(fact) for fact in report.trouble.facts.values())
