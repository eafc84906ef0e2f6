"""Installation of the repository's requirements and JupyterLab, in one resolution where possible."""

import shutil
from pathlib import Path

from bindery_builder.environments.plan import Plan
from bindery_builder.environments.uv_command import UvCommand
from bindery_builder.failure_reason import UNSOLVABLE, failed
from bindery_builder.process.runner import Runner

# A change here changes every environment: increase RECIPE in bindery_local/builds/uv/builds.py, too.
# pip: for postBuild scripts. notebook: for links to /tree and /notebooks. nbgitpuller: for links that pull content.
BASE = ("jupyterlab>=3,<5", "notebook", "nbgitpuller", "pip")


def install(runner: Runner, uv: UvCommand, folder: Path, plan: Plan) -> None:
    """Install the plan's requirements and JupyterLab into `folder/venv`. Raises BuildFailed, BuildServiceDown."""
    runner.log.say("Installing packages", "building")
    requirements, step = _requirements(folder, plan)
    where = plan.requirements.folder if plan.requirements else folder / "content"
    text = (plan.requirements.text if plan.requirements else None) or ""
    command = [uv.path, "pip", "install", *uv.configuration, "--python", str(folder / "venv" / "bin" / "python")]
    # postBuild may change installed files in place, and a hard link would pass the change on to uv's cache: copy then.
    # Otherwise clone where the disk supports it, else hard-link: copies take several times as long as
    # the rest of the installation.
    command += ["--link-mode", "copy" if plan.post_build else "clone"]
    code, last = runner.run([*command, *requirements, *BASE], where, text)
    if code and requirements and any(UNSOLVABLE in line for line in last):
        # The repository's requirements may be solvable by themselves, and conflict only with JupyterLab's.
        code, alone = runner.run([*command, "--dry-run", *requirements], where, text, quiet=True)
        if code:
            raise failed(step, code, alone)
        runner.log.say("These packages conflict with JupyterLab: it goes in second, and may change some of them.")
        code, last = runner.run([*command, *requirements], where, text)
        if not code:
            code, last, step = *runner.run([*command, *BASE], where), "JupyterLab"
    if code:
        raise failed(step, code, last)


def _requirements(folder: Path, plan: Plan) -> tuple[list[str], str]:
    """Return uv's arguments for the plan's requirements, and the files that they come from."""
    words: list[str] = []
    files: list[str] = []
    if requirements := plan.requirements:
        words += ["-r", "-" if requirements.text is not None else str(folder / "content" / requirements.file)]
        files.append(requirements.file)
    if plan.project:
        # Building leaves files behind: build in a copy, not in the visitor's working copy.
        shutil.copytree(folder / "content", folder / "project", symlinks=True)
        words.append(str(folder / "project"))
        files.append(plan.project)
    return words, " and ".join(files) or "JupyterLab"
