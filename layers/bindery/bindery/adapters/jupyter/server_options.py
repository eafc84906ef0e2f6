"""What every session's server is told, wherever it runs."""

import re


def server_options(port: int, allowed_origins: tuple[str, ...]) -> tuple[str, ...]:
    """allowed_origins: pages elsewhere that may talk to it, given its token; `*`: any."""
    return (
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        "--ServerApp.base_url=/",
        "--ServerApp.open_browser=False",
        "--ServerApp.quit_button=False",
        # Nothing is asked of the outside while starting.
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.news_url=None",
        *_origins(allowed_origins),
    )


def _origins(allowed: tuple[str, ...]) -> tuple[str, ...]:
    if not allowed:
        return ()
    if "*" in allowed:
        return ("--ServerApp.allow_origin=*",)
    return (f"--ServerApp.allow_origin_pat=^({'|'.join(re.escape(origin) for origin in allowed)})$",)
