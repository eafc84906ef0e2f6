"""The list of stories."""

from collections.abc import Callable

from tests.infra.deployed.system import Deployed

Story = Callable[[Deployed], None]
STORIES: dict[str, Story] = {}


def story(new: Story) -> Story:
    """Add a story."""
    STORIES[new.__name__] = new
    return new
