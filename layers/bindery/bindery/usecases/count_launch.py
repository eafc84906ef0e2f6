"""What /metrics tells of launches that ended, under BinderHub's names."""

from bindery.domain.launch import Launch, Stage
from bindery.state.counters import Counters

SECONDS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)


def count_launch(counters: Counters, launch: Launch) -> None:
    """Counts a launch that has just ended, with how often it had to try again."""
    status = "success" if launch.stage is Stage.READY else "failure"
    took = (launch.ended_at or launch.created_at) - launch.created_at
    counters.add(
        "binderhub_launch_count",
        status=status,
        provider=launch.provider,
        repo=launch.repo_url if launch.repository else "",
    )
    counters.observe("binderhub_launch_time_seconds", took, SECONDS, status=status, retries=str(launch.retries))
