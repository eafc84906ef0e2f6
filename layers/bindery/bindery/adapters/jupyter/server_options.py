"""Command-line options of every session's server, for all launchers."""

import re


def server_options(port: int, allowed_origins: tuple[str, ...]) -> tuple[str, ...]:
    """Return the server's command-line options. allowed_origins: other sites that may send it requests with its token; `*`: all."""
    return (
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        "--ServerApp.base_url=/",
        "--ServerApp.open_browser=False",
        "--ServerApp.quit_button=False",
        # The server sends no request to the internet while it starts.
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
