"""Base images of a build, pulled before its own steps run.

Public registries limit anonymous pulls by address, and build machines share addresses. Therefore images are pulled with the
operator's login, if there is one for the host, and pulled again after a pause if the host reports a rate limit. The login is
removed before the first step of the repository runs.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bindery.domain.errors import BuildServiceDown
from bindery_builder.images.from_lines import host_of, images_of
from bindery_builder.images.pull_logins import PullLogin
from bindery_builder.images.tool import ContainerTool, Desk
from bindery_builder.process.runner import Runner

PAUSES = (3.0, 12.0)
"""Seconds between three tries. Each pause is lengthened by up to half."""
_LIMITED = re.compile(r"toomanyrequests|too many requests|rate exceeded|pull rate limit|\b429\b", re.IGNORECASE)


@dataclass(frozen=True)
class BaseImages:
    """Puller of base images.

    If an image cannot be pulled for another reason, the build pulls it, and the build's error names the instruction.
    """

    tool: ContainerTool
    runner: Runner
    desk: Desk
    logins: Sequence[PullLogin]
    pauses: Sequence[float] = PAUSES

    def fetch(self, dockerfile: Path, folder: Path) -> None:
        """Pull the images that the Dockerfile names.

        Raises BuildServiceDown if a host limits pulls, and the errors of Runner.run.
        """
        for name in images_of(dockerfile):
            if not self._is_here(name, folder):
                self._pull(name, folder)

    def _is_here(self, name: str, folder: Path) -> bool:
        code, _ = self.runner.run(self.tool.find(name), folder, quiet=True)
        return not code

    def _pull(self, name: str, folder: Path) -> None:
        self.runner.log.say(f"Fetching {name}")
        for pause in (*self.pauses, None):
            if not self._is_limited(name, folder):
                return
            if pause is None:
                raise BuildServiceDown(why=f"{host_of(name)} limits how often images are pulled, and {name} is needed")
            self.runner.log.say(f"{host_of(name)} limits how often images are pulled: trying again")
            self.runner.stopped.wait(pause * (1 + random.random() / 2))  # noqa: S311 - jitter between builds

    def _is_limited(self, name: str, folder: Path) -> bool:
        """Try one pull. Return True if the host reports a rate limit."""
        self._log_in(name)
        try:
            code, last = self.runner.run(self.tool.pull_base(name, self.desk), folder, quiet=True)
        finally:
            self.desk.write_login("{}")
        return bool(code) and any(_LIMITED.search(line) for line in last)

    def _log_in(self, name: str) -> None:
        for login in self.logins:
            if login.host == host_of(name) and login.may_be_used_for(name):
                try:
                    self.desk.write_login(login.text())
                except BuildServiceDown as down:
                    self.runner.log.say(f"{login.host} is used without a login: {down.facts['why']}")
