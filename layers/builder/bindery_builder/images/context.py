"""What a container tool builds from: the repository's own Dockerfile, or the one that repo2docker writes for it."""

import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bindery.domain.build_files import FILES, IGNORED, PACKAGES, READ_THE_TREE
from bindery.domain.errors import CannotBuild
from bindery_builder.failure_reason import failed, reason
from bindery_builder.process.runner import Runner
from bindery_builder.process.scripts import ConfigurationFiles

PACKAGE = "jupyter-repo2docker"
_SCRIPT = Path(__file__).with_name("repo2docker_script.py")


@dataclass(frozen=True)
class Context:
    """folder: what the build may copy. step: what it follows, for people."""

    folder: Path
    dockerfile: Path
    step: str


def repo2docker_version() -> str:
    """Empty where it is not installed."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return ""


def prepared(content: Path, folder: Path, runner: Runner, base_image: str) -> Context:
    """The content may move into `folder`. Raises RepositoryUnusable, BuildFailed, CannotBuild."""
    files = ConfigurationFiles.of(content)
    there = [path for name in (*FILES, *READ_THE_TREE, *PACKAGES) if name not in IGNORED and (path := files.find(name))]
    ignoring = [path for name in IGNORED if (path := files.find(name))]
    if dockerfile := files.find("Dockerfile"):
        for name in (*IGNORED, f"{files.name(dockerfile)}.dockerignore", f"{files.name(dockerfile)}.containerignore"):
            files.checked(content / name)
        return Context(content, dockerfile, files.name(dockerfile))
    named = files.name(there[0]) if there else "A repository without a Dockerfile"
    if not repo2docker_version():
        raise CannotBuild(file=named, needs="repo2docker", install=f"{PACKAGE} into the Python that runs Bindery")
    patterns = [line for path in ignoring for line in files.text(path).splitlines()]
    runner.log.say("Writing a Dockerfile with repo2docker", "building")
    command = [sys.executable, "-I", str(_SCRIPT), str(content), str(folder), base_image]
    code, last = runner.run(command, folder.parent)
    if code:
        raise failed(named if there else "repo2docker", code, last, reason(last))
    content.rename(folder / "src")
    (folder / ".dockerignore").write_text("".join(map(_within_src, patterns)))
    return Context(folder, folder / "Dockerfile", f"{named} with repo2docker" if there else "repo2docker's Dockerfile")


def _within_src(pattern: str) -> str:
    """A pattern of the repository's, one folder further down."""
    pattern = pattern.strip()
    if not pattern or pattern.startswith("#"):
        return ""
    negated = pattern.startswith("!")
    return f"{'!' if negated else ''}src/{pattern.lstrip('!').lstrip('/')}\n"
