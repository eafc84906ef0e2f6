"""The list of stories."""

from collections.abc import Callable

from tests.infra.deployed.system import Deployed

Story = Callable[[Deployed], None]
STORIES: dict[str, Story] = {}


def story(told: Story) -> Story:
    """One more."""
    STORIES[told.__name__] = told
    return told
