"""Version of the tools that build container images. It is part of every environment's key, for every build service."""

REPO2DOCKER = "2026.4.0"
"""The locked version. Functions do not have repo2docker installed, but they need the version that builds use."""
RECIPE = 2  # raised with each change that makes another image of the same files


def engine_name(repo2docker: str, base_image: str) -> str:
    """Return the name shared by all engines that build the same image from the same files. base_image: empty: repo2docker's own."""
    base = f", base {base_image}" if base_image else ""
    return f"containers, repo2docker {repo2docker}{base}, recipe {RECIPE}"
