"""Adapters of whatever builds: those of the control plane, with contents of repositories and logins at registries."""

from functools import cached_property
from pathlib import Path
from typing import cast

from bindery.adapters.hosts.registry import no_git
from bindery.bootstrap import Adapters
from bindery_builder.contents.router import AnyContents
from bindery_builder.images.pull_logins import PullLogin, docker_hub


class BuilderAdapters(Adapters):
    """Adapters for a process that may write to `home`, a folder of its own."""

    @cached_property
    def home(self) -> Path:
        return Path(self.settings.home).expanduser().absolute()

    @cached_property
    def contents(self) -> AnyContents:
        return AnyContents(
            self.home / "repositories", self.guarded_client, self.clock, self.provider, no_git(self.settings)
        )

    def pull_logins(self) -> list[PullLogin]:
        """Return the operator's logins for images that builds begin from."""
        login = self.settings.docker_hub_login.get_secret_value()
        return [docker_hub(login)] if login else []

    def ecr_public_login(self) -> PullLogin:
        """Return AWS's own login, where a build has the project's role."""
        from bindery_builder.images.ecr_public import REGION, EcrPublicClient, ecr_public

        return ecr_public(lambda: cast("EcrPublicClient", self.aws.create_client("ecr-public", region_name=REGION)))
