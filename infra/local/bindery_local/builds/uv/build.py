"""Build attempt on this machine, step by step: content, plan, Python, packages, postBuild."""

import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from bindery.domain.builds import BuildOrder
from bindery.domain.errors import BuildFailed, CannotBuild
from bindery.ports.contents import Contents
from bindery_builder.build_log import BuildLog
from bindery_builder.environments.conda import CondaSource, activation, make_conda_environment
from bindery_builder.environments.conda_request import CondaPackage, CondaSpecs
from bindery_builder.environments.install import install
from bindery_builder.environments.plan import Plan
from bindery_builder.environments.planning import planned
from bindery_builder.environments.python_version import PythonWanted
from bindery_builder.environments.uv_command import UvCommand
from bindery_builder.failure_reason import failed, reason
from bindery_builder.fetch import fetch_inputs
from bindery_builder.process.remove_tree import remove_tree
from bindery_builder.process.runner import RoomOver, Runner
from bindery_builder.process.scripts import script_command
from bindery_builder.task import Manifest


@dataclass
class UvAttempt:
    """Attempt that makes an environment in `folder`.

    step: the current step, for error messages.
    """

    order: BuildOrder
    folder: Path
    contents: Contents
    uv: UvCommand
    runner: Runner
    log: BuildLog
    conda: CondaSource
    step: str = field(default="build", init=False)
    _conda_packages: tuple[CondaPackage, ...] = field(default=(), init=False)
    _variables: dict[str, str] = field(default_factory=dict, init=False)

    def make(self) -> Manifest:
        """Make the environment. Raises a BinderyError, Stopped, TimeOver or OSError; the folder is unusable then."""
        try:
            return self._make()
        except RoomOver:
            most = self.runner.room.most_bytes / 1e9
            raise BuildFailed(step=self.step, why=f"the build holds more than {most:g} GB on disk") from None

    def _make(self) -> Manifest:
        plan = self._fetch()
        self._environment(plan)
        if plan.requirements or plan.project:
            self.step = plan.requirements.file if plan.requirements else plan.project
        install(self.runner, self.uv, self.folder, plan)
        if plan.post_build:
            self._post_build(plan.post_build)
        return self._finish(plan)

    def _fetch(self) -> Plan:
        for name in ("home", "tmp"):
            (self.folder / name).mkdir(parents=True)
        commit = self.folder / "commit"
        fetch_inputs(self.contents, self.order, commit, self._content, self.runner)
        remove_tree(commit)
        plan = planned(self.runner, self._content, self.folder / "tmp")
        for note in plan.notes:
            self.log.say(note, "building")
        return plan

    def _environment(self, plan: Plan) -> None:
        self.step = "Python"
        if plan.conda:
            self._conda(plan.conda)
            return
        python = self._python(plan.python)
        if python is None and plan.python:
            self._conda_python(plan.python)
            return
        command = [self.uv.path, "venv", *self.uv.configuration, "--quiet", "--no-project", "--python", str(python)]
        code, last = self.runner.run([*command, str(self.folder / "venv")], self.folder)
        if code:
            raise failed(self.step, code, last)

    def _conda(self, specs: CondaSpecs) -> None:
        """Make a conda environment. Its later steps and its sessions have the variables that its packages set."""
        self.step, prefix, temporary = specs.file, self.folder / "venv", self.folder / "tmp"
        result = make_conda_environment(self.runner, self.conda, specs, prefix, temporary)
        self._conda_packages = result.packages
        self._variables = activation(self.runner, prefix, temporary)
        self.runner = replace(self.runner, environment={**self.runner.environment, **self._variables})

    def _python(self, wanted: PythonWanted | None) -> Path | None:
        """Return an interpreter of this machine, or None if the requested version is missing."""
        if wanted is None:
            if python := self.uv.python():
                return python
            raise CannotBuild(
                file="the build", needs=f"Python {self.uv.default_version}", install="it, so that uv finds it on PATH"
            )
        own = f"=={self.uv.default_version}.*,{wanted.request}"
        if wanted.prefers_default and (python := self.uv.python(own)):
            return python
        if python := self.uv.python(wanted.request):
            return python
        if wanted.close and (python := self.uv.python(wanted.close)):
            self.log.say(
                f"{wanted.file} asks for Python {wanted.request}: another {wanted.close} is here, and taken.",
                "building",
            )
            return python
        return None

    def _conda_python(self, wanted: PythonWanted) -> None:
        """Make a conda environment with a Python that this machine does not have."""
        self.log.say(f"No Python {wanted.request} is on this machine: it comes from conda-forge.", "building")
        try:
            self._conda(CondaSpecs(wanted.file, (), (f"python {wanted.conda_version}",)))
        except BuildFailed as error:
            missing = f"Python {wanted.request} is not on this machine"
            raise BuildFailed(step=wanted.file, why=f"{missing}, and {error.facts['why']}") from None

    def _post_build(self, script: Path) -> None:
        self.step = script.relative_to(self._content).as_posix()
        self.log.say(f"Running {self.step}", "building")
        try:
            code, last = self.runner.run(script_command(script, self.folder / "tmp"), self._content)
        except FileNotFoundError:
            raise BuildFailed(step=self.step, why="what its first line names is not on this machine") from None
        if code:
            why = f"exit status {code}" + (f": {reason(last[-1:])}" if last else "")
            raise failed(self.step, code, last, why)

    def _finish(self, plan: Plan) -> Manifest:
        keeps_content = self.order.scope != "files"
        for name in ("tmp", "project") if keeps_content else ("tmp", "project", "content", "home"):
            with suppress(OSError):
                remove_tree(self.folder / name)
        start = os.fspath(plan.start) if plan.start else None
        return Manifest(
            ref=self.order.repository.ref,
            keeps_content=keeps_content,
            start=start,
            variables=self._variables,
            conda_packages=self._conda_packages,
        )

    @property
    def _content(self) -> Path:
        return self.folder / "content"
