"""What the local runtime sets up before anything of Bindery is imported: environment, home, secret, log."""

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

LOCAL = {
    "BINDERY_TABLE": "sqlite",
    "BINDERY_QUEUES": "memory",
    "BINDERY_BUILDER": "uv",
    "BINDERY_LAUNCHER": "process",
    "BINDERY_BUILD_SLOTS": "2",  # the template begins with a new account's quota
    "BINDERY_RATE_LIMIT": "1000",  # the clients are this machine's own
    "BINDERY_STREAM_SECONDS": "0",  # no gateway here that would cut a stream
    "BINDERY_PAGE_STREAM_SECONDS": "0",  # and none that is paid for by the second
    "BINDERY_IMAGE_DAYS": "0",  # environments on this disk go when it is full; a registry's images are its owner's
}


def set_environment(template: Mapping[str, str]) -> None:
    """The template's variables, under what a machine by itself needs, under what the person who starts it has set."""
    for name, value in {**template, **LOCAL}.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("POWERTOOLS_METRICS_DISABLED", "true")


def prepare(home: Path) -> IO[str]:
    """The home folder with its secret, locked for this process. Raises SystemExit if another Bindery uses it."""
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
        aside = home / "secret.new"
        aside.touch(mode=0o600)
        aside.write_text(secrets.token_urlsafe(48))
        aside.replace(secret)
    if not os.environ.get("BINDERY_SECRET"):
        os.environ["BINDERY_SECRET"] = secret.read_text()
    return lock


def _close(home: Path) -> None:
    """Take other users' rights away from a folder that was there before. Raises OSError; SystemExit for a folder of all users."""
    mode = home.stat().st_mode
    if mode & stat.S_ISVTX:
        raise SystemExit(f"BINDERY_HOME: {home} is shared by all users of this machine. Name a folder of its own.")
    if mode & 0o077:
        home.chmod(0o700)


class LogFile(logging.handlers.RotatingFileHandler):
    """A full disk loses lines, no more: the terminal is not told of each."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's own name
        """A line that the disk did not take is lost; any other trouble is told as usual."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


def keep_log(home: Path, level: str) -> logging.Handler:
    """Everything goes to a file in the home folder, our own warnings to the terminal too. Answers what writes to the terminal."""
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
    logging.getLogger("uvicorn").handlers[:] = [file]  # that a stream was cut at the end is nothing for the terminal
    return terminal
