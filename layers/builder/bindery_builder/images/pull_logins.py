"""Logins that raise a public registry's rate limits, and a check that they are not used for private images."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass

from bindery.adapters.oci_registry import Registry
from bindery.domain.errors import BuildServiceDown
from bindery_builder.images.from_lines import host_of

DOCKER_HUB, ECR_PUBLIC = "docker.io", "public.ecr.aws"
_TOO_MANY = 429


@dataclass(frozen=True)
class PullLogin:
    """A registry's login for pulls.

    credentials: user and password, fetched at each use; may raise BuildServiceDown. only_public: the host has no private images.
    address: the host's address, if it differs from its name.
    """

    host: str
    credentials: Callable[[], tuple[str, str]]
    only_public: bool = False
    address: str = ""

    def text(self) -> str:
        """Return the credentials file for container tools. Raises BuildServiceDown."""
        host = "https://index.docker.io/v1/" if self.host == DOCKER_HUB else self.host
        return json.dumps({"auths": {host: {"auth": base64.b64encode(":".join(self.credentials()).encode()).decode()}}})

    def may_be_used_for(self, image: str) -> bool:
        """Return True if the image is public.

        A Dockerfile can name any image that the operator's account can read. Pulling a private one would disclose it to the
        visitors of that repository.
        """
        return self.only_public or _Source(self.address or f"https://{self.host}", *_parts(image)).is_public()


class _Source(Registry):
    """An image's repository, queried without credentials."""

    def __init__(self, address: str, repository: str, reference: str) -> None:
        super().__init__(address)
        self.repository, self._reference = repository, reference

    def is_public(self) -> bool:
        """Return True if the image exists and needs no login.

        A registry refuses private images (401) before it counts pulls (429).
        """
        try:
            answer = self._answer(f"{self._api}/v2/{self.repository}/manifests/{self._reference}")
        except BuildServiceDown:
            return False
        finally:
            self.close()
        return answer.is_success or answer.status_code == _TOO_MANY


def _parts(image: str) -> tuple[str, str]:
    """Return an image's repository at its host, and its tag or digest."""
    name, at, digest = image.partition("@")
    first, slash, rest = name.partition("/")
    path = rest if slash and ("." in first or ":" in first or first == "localhost") else name
    repository, _, tag = path.partition(":")
    if host_of(image) == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    return repository, digest if at else tag or "latest"


def docker_hub(login: str) -> PullLogin:
    """Return the login for Docker Hub. login: `user:token`."""
    user, _, token = login.partition(":")
    return PullLogin(DOCKER_HUB, lambda: (user, token))
