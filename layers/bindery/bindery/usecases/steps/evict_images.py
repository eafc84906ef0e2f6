"""Delete images that were not launched for a long time: image storage is the largest cost.

At ECR's prices a week's storage of a 2 GB image costs as much as its build. So an image that is launched every few weeks is worth
its storage, and most images are launched on one day only.
The registry cannot tell when an image was last used; each environment remembers the day of its last launch.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass

from bindery.domain.environment import Environment
from bindery.domain.errors import BinderyError
from bindery.ports.build_service import BuildService
from bindery.state.environments import Environments

logger = logging.getLogger("bindery")
MOST_IMAGES = 25
"""Images in one sweep, for each shard of the index."""


@dataclass(frozen=True)
class EvictImages:
    """Deleter of images. days: days to keep an image after the day of its last launch; 0: for ever.

    The environment is marked first, on condition that it did not change since it was read. A launch notes its day by the same
    kind of write. So either the launch finds the mark and has a new image built, or the mark is not written. An environment with
    a mark and an image, because a function ended in between, is still due.
    """

    environments: Environments
    builds: BuildService
    days: int

    def __call__(self, in_use: Collection[str]) -> None:
        """Delete due images. in_use: images of running sessions, which stay however old their launch is."""
        if not self.days:
            return
        for nominated in self.environments.unlaunched(self.days, MOST_IMAGES):
            try:
                self._evict(nominated, in_use)
            except BinderyError as error:
                logger.warning("the image of environment %s could not be deleted: %s", nominated.key, error)

    def _evict(self, nominated: Environment, in_use: Collection[str]) -> None:
        if nominated.image in in_use:
            self.environments.note_use(nominated.key)
            return
        marked = self.environments.mark_evicted(nominated.key, self.days)
        if marked is None:
            return
        if not self.builds.remove(marked.image):
            logger.error("the registry does not delete images: set BINDERY_IMAGE_DAYS=0 and delete them another way")
        self.environments.settle_evicted(marked.key, marked.attempt)
        logger.info("image evicted", extra={"environment": marked.key, "attempt": marked.attempt})
