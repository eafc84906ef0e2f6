"""Build context of a container tool: the Dockerfile of the repository or of repo2docker, and the commit that the image contains."""

import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bindery.domain.build_files import FILES, IGNORED, PACKAGES, READ_THE_TREE
from bindery.domain.errors import CannotBuild
from bindery_builder.failure_reason import failed, reason
from bindery_builder.process.remove_tree import remove_tree
from bindery_builder.process.runner import Runner
from bindery_builder.process.scripts import ConfigurationFiles

PACKAGE = "jupyter-repo2docker"
COMMIT_FOLDER = "/var/lib/bindery"
"""Folder of the image. Its `content` holds `<commit>.tar`; `adapters/kubernetes/checkout.sh` uses this path, too."""
_ARCHIVES = "carried"
_USER = 1000
_SCRIPT = Path(__file__).with_name("repo2docker_script.py")


@dataclass(frozen=True)
class Context:
    """Build context. folder: the files that the build may copy. step: the source of the Dockerfile, for messages."""

    folder: Path
    dockerfile: Path
    step: str


def repo2docker_version() -> str:
    """Return the version of repo2docker, or an empty string if it is not installed."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return ""


def prepared(content: Path, folder: Path, runner: Runner, base_image: str) -> Context:
    """Return the build context of the repository in `content`. The content may move into `folder`.

    Raises RepositoryUnusable, BuildFailed, CannotBuild.
    """
    files = ConfigurationFiles.of(content)
    present = [
        path for name in (*FILES, *READ_THE_TREE, *PACKAGES) if name not in IGNORED and (path := files.find(name))
    ]
    ignoring = [path for name in IGNORED if (path := files.find(name))]
    if dockerfile := files.find("Dockerfile"):
        for name in (*IGNORED, f"{files.name(dockerfile)}.dockerignore", f"{files.name(dockerfile)}.containerignore"):
            files.checked(content / name)
        return Context(content, dockerfile, files.name(dockerfile))
    source = files.name(present[0]) if present else "A repository without a Dockerfile"
    if not repo2docker_version():
        raise CannotBuild(file=source, needs="repo2docker", install=f"{PACKAGE} into the Python that runs Bindery")
    patterns = [line for path in ignoring for line in files.text(path).splitlines()]
    runner.log.say("Writing a Dockerfile with repo2docker", "building")
    command = [sys.executable, "-I", str(_SCRIPT), str(content), str(folder), base_image]
    code, last = runner.run(command, folder.parent)
    if code:
        raise failed(source if present else "repo2docker", code, last, reason(last))
    content.rename(folder / "src")
    (folder / ".dockerignore").write_text("".join(map(_within_src, patterns)))
    return Context(
        folder, folder / "Dockerfile", f"{source} with repo2docker" if present else "repo2docker's Dockerfile"
    )


def add_commit(commit: Path, ref: str, context: Path, dockerfile: Path, check: Callable[[], None]) -> None:
    """Move `commit`, a working copy, into an archive in the build context, and add a last step to the Dockerfile that copies it.

    No step of the build runs after the copy, so no step can read the archive. Sessions remove it: it belongs to their user. check:
    called for each file; its exceptions end the work.
    """
    archive = context / _ARCHIVES / "content" / f"{ref}.tar"
    archive.parent.mkdir(parents=True)

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        check()
        entry.uid = entry.gid = _USER
        entry.uname = entry.gname = ""
        return entry if entry.isreg() or entry.isdir() or entry.issym() else None

    # GNU's format has no limits on names or sizes, and stores names that are not UTF-8 unchanged.
    with tarfile.open(archive, "x", format=tarfile.GNU_FORMAT, errors="surrogateescape") as tar:
        for path in sorted(commit.iterdir()):
            tar.add(path, path.name, filter=plain)
    remove_tree(commit)
    with dockerfile.open("a", encoding="utf-8") as file:
        file.write(
            f"\n# The commit itself, for its own sessions\nCOPY --chown={_USER}:{_USER} {_ARCHIVES}/ {COMMIT_FOLDER}/\n"
        )


def _within_src(pattern: str) -> str:
    """Return a pattern of the repository's ignore file, moved into the folder `src`."""
    pattern = pattern.strip()
    if not pattern or pattern.startswith("#"):
        return ""
    negated = pattern.startswith("!")
    return f"{'!' if negated else ''}src/{pattern.lstrip('!').lstrip('/')}\n"
