"""Adapters for build processes: those of the control plane, plus repository contents and registry logins."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bindery.bootstrap import Adapters

if TYPE_CHECKING:
    from bindery_builder.contents.router import AnyContents
    from bindery_builder.images.pull_logins import PullLogin


class BuilderAdapters(Adapters):
    """Adapters for a process that may write to its own folder, `home`."""

    @cached_property
    def home(self) -> Path:
        return Path(self.settings.home).expanduser().absolute()

    @cached_property
    def contents(self) -> AnyContents:
        from bindery.adapters.git.refused_apis import RefusedApis
        from bindery_builder.contents.router import AnyContents

        return AnyContents(
            self.home / "repositories",
            self.guarded_client,
            self.clock,
            self.provider,
            RefusedApis.configured(self.settings),
        )

    def pull_logins(self) -> list[PullLogin]:
        """Return the operator's logins for pulling base images."""
        from bindery_builder.images.pull_logins import docker_hub

        login = self.settings.docker_hub_login.get_secret_value()
        return [docker_hub(login)] if login else []

    def ecr_public_login(self) -> PullLogin:
        """Return AWS's login for ECR public, available where the build has the project's role."""
        from bindery_builder.images.ecr_public import REGION, EcrPublicClient, ecr_public

        return ecr_public(lambda: cast("EcrPublicClient", self.aws.create_client("ecr-public", region_name=REGION)))
