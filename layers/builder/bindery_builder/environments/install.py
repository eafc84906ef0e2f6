"""Installation of the repository's requirements and JupyterLab, in one resolution where possible."""

import re
import shutil
from pathlib import Path

from bindery_builder.environments.plan import Plan
from bindery_builder.environments.uv_command import UvCommand
from bindery_builder.failure_reason import failed
from bindery_builder.process.runner import Runner

# A change here changes every environment: increase RECIPE in bindery_local/builds/uv/builds.py, too.
# pip: for postBuild scripts. notebook: for links to /tree and /notebooks. nbgitpuller: for links that pull content. The others are in
# every environment of repo2docker, and repositories rely on them.
BASE = (
    *("jupyterlab>=3,<5", "notebook", "nbgitpuller", "pip"),
    *("ipywidgets", "jupyter-resource-usage", "jupyter-offlinenotebook"),
)
SETUPTOOLS = "setuptools<81"
"""Last versions with `pkg_resources`, as in repo2docker. Left out if the requirements name setuptools."""
# pip takes the best version of all indexes; by default, uv takes the first index that has the name.
_AS_PIP = ("--index-strategy", "unsafe-best-match")


def install(runner: Runner, uv: UvCommand, folder: Path, plan: Plan) -> None:
    """Install the plan's requirements and JupyterLab into `folder/venv`. Raises BuildFailed, BuildServiceDown."""
    runner.log.say("Installing packages", "building")
    requirements, step = _requirements(folder, plan)
    where = plan.requirements.folder if plan.requirements else folder / "content"
    text = (plan.requirements.text if plan.requirements else None) or ""
    command, base = _command(uv, folder, plan), _base(folder, plan)
    code, last = runner.run([*command, *requirements, *base], where, text)
    if code and requirements and runner.log.unsolvable:
        # The repository's requirements may be solvable by themselves, and conflict only with JupyterLab's.
        code, alone = runner.run([*command, "--dry-run", *requirements], where, text, quiet=True)
        if code:
            raise failed(step, code, alone)
        runner.log.say("These packages conflict with JupyterLab: it goes in second, and may change some of them.")
        code, last = runner.run([*command, *requirements], where, text)
        if not code:
            code, last, step = *runner.run([*command, *base], where), "JupyterLab"
    if code:
        raise failed(step, code, last)


def _command(uv: UvCommand, folder: Path, plan: Plan) -> list[str]:
    """Return the command without requirements.

    postBuild may change installed files in place, and a hard link would pass the change on to uv's cache: files are copied then.
    Otherwise they are cloned where the disk supports it, else hard-linked: copies take several times as long as the rest of the
    installation.
    """
    python = folder / "venv" / "bin" / "python"
    link_mode = "copy" if plan.post_build else "clone"
    options = [*uv.configuration, *_AS_PIP, "--python", str(python), "--link-mode", link_mode]
    return [uv.path, "pip", "install", *options]


def _base(folder: Path, plan: Plan) -> tuple[str, ...]:
    """Return the packages of every environment. A conda environment has its own setuptools."""
    return BASE if plan.conda or _names_setuptools(folder, plan) else (*BASE, SETUPTOOLS)


def _names_setuptools(folder: Path, plan: Plan) -> bool:
    if (requirements := plan.requirements) is None:
        return False
    text = requirements.text
    if text is None:
        text = (folder / "content" / requirements.file).read_text(errors="replace")
    return re.search(r"(?mi)^[ \t]*setuptools\b", text) is not None


def _requirements(folder: Path, plan: Plan) -> tuple[list[str], str]:
    """Return uv's arguments for the plan's requirements, and the files that they come from."""
    words: list[str] = []
    files: list[str] = []
    if requirements := plan.requirements:
        words += ["-r", "-" if requirements.text is not None else str(folder / "content" / requirements.file)]
        files.append(requirements.file)
    if plan.project_dependencies:
        words += ["-r", str(folder / "content" / plan.project_dependencies)]
        files.append(plan.project_dependencies)
    if plan.project:
        # Building leaves files behind: build in a copy, not in the visitor's working copy.
        shutil.copytree(folder / "content", folder / "project", symlinks=True)
        words.append(str(folder / "project"))
        files.append(plan.project)
    return words, " and ".join(files) or "JupyterLab"
