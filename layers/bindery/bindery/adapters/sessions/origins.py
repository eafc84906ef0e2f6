"""Which pages elsewhere may talk to a session's server."""

import re


def origin_options(allowed: tuple[str, ...]) -> tuple[str, ...]:
    """The server's options for these origins; `*`: any."""
    if not allowed:
        return ()
    if "*" in allowed:
        return ("--ServerApp.allow_origin=*",)
    return (f"--ServerApp.allow_origin_pat=^({'|'.join(re.escape(origin) for origin in allowed)})$",)
