"""Installs what a repository asks for, and JupyterLab, in one resolution where that works."""

import shutil
from pathlib import Path

from bindery_builder.environments.plan import Plan
from bindery_builder.environments.uv_command import UvCommand
from bindery_builder.failure_reason import UNSOLVABLE, failed
from bindery_builder.process.runner import Runner

# A change here changes every environment: raise RECIPE in uv.py with it.
# pip: postBuild scripts call it. notebook: links to /tree and /notebooks. nbgitpuller: links that bring their content along.
BASE = ("jupyterlab>=3,<5", "notebook", "nbgitpuller", "pip")


def install(runner: Runner, uv: UvCommand, folder: Path, plan: Plan) -> None:
    """Into `folder/venv`. Raises BuildFailed, BuildServiceDown."""
    runner.log.say("Installing packages", "building")
    wanted, step = _wanted(folder, plan)
    where = plan.requirements.folder if plan.requirements else folder / "content"
    text = (plan.requirements.text if plan.requirements else None) or ""
    command = [uv.path, "pip", "install", *uv.configuration, "--python", str(folder / "venv" / "bin" / "python")]
    # postBuild may change installed files in place, and a hard link would carry that into uv's cache. Without it, clones
    # where the disk can, else hard links after all: copies cost several times the rest of the installation.
    command += ["--link-mode", "copy" if plan.post_build else "clone"]
    code, last = runner.run([*command, *wanted, *BASE], where, text)
    if code and wanted and any(UNSOLVABLE in line for line in last):
        # The repository's own wishes may agree with one another, only not with JupyterLab's.
        code, alone = runner.run([*command, "--dry-run", *wanted], where, text, quiet=True)
        if code:
            raise failed(step, code, alone)
        runner.log.say("These do not agree with JupyterLab: it goes in second, and may change some of them.")
        code, last = runner.run([*command, *wanted], where, text)
        if not code:
            code, last, step = *runner.run([*command, *BASE], where), "JupyterLab"
    if code:
        raise failed(step, code, last)


def _wanted(folder: Path, plan: Plan) -> tuple[list[str], str]:
    """What uv is to be told, and the files that it comes from."""
    words: list[str] = []
    files: list[str] = []
    if asked := plan.requirements:
        words += ["-r", "-" if asked.text is not None else str(folder / "content" / asked.file)]
        files.append(asked.file)
    if plan.project:
        # Building leaves files behind: in a copy, not in the visitor's.
        shutil.copytree(folder / "content", folder / "project", symlinks=True)
        words.append(str(folder / "project"))
        files.append(plan.project)
    return words, " and ".join(files) or "JupyterLab"
