"""What container images are made with, wherever that happens: it names them in every environment's key."""

REPO2DOCKER = "2026.4.0"
"""The version that is locked: functions do not have it installed, and still have to know which one builds."""
RECIPE = 2  # raised whenever the same files would give another image


def engine_name(repo2docker: str, base_image: str) -> str:
    """The same for every engine that builds the same image from the same files. base_image: empty for repo2docker's own."""
    base = f", base {base_image}" if base_image else ""
    return f"containers, repo2docker {repo2docker}{base}, recipe {RECIPE}"
