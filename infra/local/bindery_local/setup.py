"""Setup of the local runtime before Bindery's modules are imported: environment variables, home folder, secret, log."""

import fcntl
import logging
import logging.handlers
import os
import secrets
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from bindery_builder.process.files import write_whole

LOCAL = {
    "BINDERY_TABLE": "sqlite",
    "BINDERY_QUEUES": "memory",
    "BINDERY_BUILDER": "uv",
    "BINDERY_LAUNCHER": "process",
    "BINDERY_BUILD_SLOTS": "2",  # the template's default is a new account's quota
    "BINDERY_RATE_LIMIT": "1000",  # all clients are on this machine
    "BINDERY_STREAM_SECONDS": "0",  # no gateway ends a stream
    "BINDERY_PAGE_STREAM_SECONDS": "0",  # streams are not paid for by the second
    "BINDERY_IMAGE_DAYS": "0",  # environments are removed when the disk limit is reached; a registry's images belong to its owner
}


def set_environment(template: Mapping[str, str]) -> None:
    """Set default environment variables. Priority: the user's own, then those of a single machine, then the template's."""
    for name, value in {**template, **LOCAL}.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("POWERTOOLS_METRICS_DISABLED", "true")


def prepare(home: Path) -> IO[str]:
    """Create the home folder with its secret and lock it for this process. Raises SystemExit if another Bindery uses it."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        _close(home)
        lock = (home / "lock").open("w")
    except OSError as error:
        raise SystemExit(f"BINDERY_HOME: {home} cannot be used: {error.strerror}.") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit(
            f"Another Bindery is running with {home}. Stop it, or set BINDERY_HOME to another folder."
        ) from None
    secret = home / "secret"
    if not secret.exists():
        write_whole(secret, secrets.token_urlsafe(48))
    if not os.environ.get("BINDERY_SECRET"):
        os.environ["BINDERY_SECRET"] = secret.read_text()
    return lock


def _close(home: Path) -> None:
    """Remove other users' permissions from an existing folder. Raises OSError, and SystemExit for a folder of all users."""
    mode = home.stat().st_mode
    if mode & stat.S_ISVTX:
        raise SystemExit(f"BINDERY_HOME: {home} is shared by all users of this machine. Name a folder of its own.")
    if mode & 0o077:
        home.chmod(0o700)


class LogFile(logging.handlers.RotatingFileHandler):
    """Log file that drops lines on a full disk, without an error on the terminal for each."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's own name
        """Drop a line that could not be written to disk. Report other errors as usual."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


def keep_log(home: Path, level: str) -> logging.Handler:
    """Write the log to a file in the home folder, and Bindery's warnings to the terminal, too. Return the terminal's handler."""
    file = LogFile(home / "bindery.log", maxBytes=10_000_000, backupCount=2)
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(logging.WARNING)
    from bindery.lambda_support.logging import logger

    formatter = logger().registered_formatter
    for handler in (file, terminal):
        handler.setFormatter(formatter)
    log = logging.getLogger("bindery")
    log.handlers[:] = [file, terminal]
    log.setLevel(level)
    logging.getLogger("uvicorn").handlers[:] = [
        file
    ]  # streams that are cut at shutdown are not reported on the terminal
    return terminal
