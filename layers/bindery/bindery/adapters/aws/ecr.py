"""Registry on ECR: AWS issues its password for some hours, and images are looked up with AWS's own API."""

import base64
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from bindery.adapters.aws.errors import trouble_of
from bindery.adapters.oci_registry import DIGEST, Registry
from bindery.domain.errors import BuildServiceDown

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_ecr.type_defs import ImageFailureTypeDef

_PASSWORD_SECONDS = 6 * 3600  # AWS's passwords are valid for twelve hours
_GONE = "ImageNotFound"


class EcrRegistry(Registry):
    """Registry on ECR. make_client: called at the first request to AWS; some functions never send one.

    One signed API call looks an image up, like the call that pulls an image. A function needs neither an HTTP client of its own nor
    the permission to get a password.
    """

    def __init__(self, address: str, make_client: "Callable[[], ECRClient]") -> None:
        super().__init__(address)
        self._make_client = make_client
        self._password: tuple[str, str] = ("", "")
        self._password_until = 0.0

    def image_exists(self, image: str) -> bool:
        digest = self._digest(image)
        if not digest:
            return False
        with trouble_of("ECR"):
            answer = self._ecr.batch_get_image(repositoryName=self.repository, imageIds=[{"imageDigest": digest}])
        if answer.get("images"):
            return True
        _check_gone(answer.get("failures", []))
        return False

    def remove(self, image: str) -> bool:
        digest = self._digest(image)
        if digest:
            with trouble_of("ECR"):
                answer = self._ecr.batch_delete_image(
                    repositoryName=self.repository, imageIds=[{"imageDigest": digest}]
                )
            _check_gone(answer.get("failures", []))
        return True

    def _digest(self, image: str) -> str:
        """Return the digest of an image of this repository; empty for any other image."""
        name, _, digest = image.partition("@")
        return digest if name == self.name and DIGEST.fullmatch(digest) else ""

    @property
    def _credentials(self) -> tuple[str, str]:
        if time.monotonic() >= self._password_until:
            with trouble_of("ECR"):
                token = self._ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
            user, _, password = base64.b64decode(token).decode().partition(":")
            self._password, self._password_until = (user, password), time.monotonic() + _PASSWORD_SECONDS
        return self._password

    @cached_property
    def _ecr(self) -> "ECRClient":
        return self._make_client()


def _check_gone(failures: "Sequence[ImageFailureTypeDef]") -> None:
    """Raise BuildServiceDown for a failure other than a missing image."""
    codes = {failure.get("failureCode", "unknown") for failure in failures}
    if not codes <= {_GONE}:
        raise BuildServiceDown(why=f"ECR says {', '.join(sorted(codes))}")
