"""Command and environment variables of a session's server."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from bindery.adapters.jupyter import start_lab
from bindery.adapters.jupyter.server_options import server_options
from bindery.domain.errors import RepositoryUnusable
from bindery.domain.sessions import SessionOrder
from bindery_builder.process import session_reaper
from bindery_builder.process.scripts import script_command
from bindery_local.sessions.environment import Environment
from bindery_local.sessions.folder import SessionFolder

MARK = "BINDERY_SESSION"
LOG_BYTES = 1_000_000
NEWS = ".jupyter/lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
# Variables that a session inherits: search paths, languages, certificates. Never the operator's secrets.
INHERITED = frozenset(
    {"PATH", "LANG", "LANGUAGE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"}
    | {"GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS", "PIP_CERT", "LD_LIBRARY_PATH"}
)
PROXIES = frozenset({"http_proxy", "https_proxy", "no_proxy", "all_proxy"})


def variables(
    outer: Mapping[str, str], order: SessionOrder, environment: Environment, folder: SessionFolder, mark: str
) -> dict[str, str]:
    """Return the server's variables: an allow-list of this process's, the environment's, the order's, then the session's own."""
    binaries = environment.python.parent
    return {
        **{name: value for name, value in outer.items() if _may_pass(name, value)},
        **environment.variables,
        **order.variables,
        "HOME": str(folder.home),
        "TMPDIR": str(folder.temporary),
        "PATH": _path(outer, environment),
        "VIRTUAL_ENV": str(binaries.parent),
        "SHELL": "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh",
        "JUPYTER_TOKEN": order.token,
        MARK: f"{mark}:{order.id}",
    }


def _path(outer: Mapping[str, str], environment: Environment) -> str:
    """Return the search path: the environment's programs first, then folders that its packages add, then this machine's."""
    added = environment.variables.get("PATH", "")
    return ":".join(part for part in (str(environment.python.parent), added, outer.get("PATH", os.defpath)) if part)


def _may_pass(name: str, value: str) -> bool:
    if name.lower() in PROXIES:
        return "@" not in value  # a proxy's password belongs to the operator
    return name in INHERITED or name.startswith("LC_")


def prepare_home(home: Path) -> None:
    """Disable JupyterLab's news, and thus its question about them, unless the build has settings of its own."""
    settings = home / NEWS
    if settings.resolve().is_relative_to(home.resolve()) and not os.path.lexists(settings):
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text('{"fetchNews": "false"}\n')


def command(
    environment: Environment, folder: SessionFolder, port: int, allowed_origins: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the command: the reaper runs the repository's `start` script, if there is one, which runs the server."""
    server = (str(environment.python), start_lab.__file__, *_options(folder, port, allowed_origins))
    start = _start_script(folder, environment.start) if environment.start else ()
    keep = (sys.executable, "-I", "-S", session_reaper.__file__, str(folder.log), str(LOG_BYTES), str(folder.work))
    return (*keep, *start, *server)


def _options(folder: SessionFolder, port: int, allowed_origins: tuple[str, ...]) -> tuple[str, ...]:
    """Return the server's command line options, which override every configuration file. The token is not among them."""
    options = (
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.root_dir={folder.work}",
        "--ServerApp.allow_remote_access=False",  # keeps the `Host` check: refuse foreign names
        *server_options(port, allowed_origins),
    )
    return (*options, "--ServerApp.allow_root=True") if os.geteuid() == 0 else options


def _start_script(folder: SessionFolder, start: Path) -> tuple[str, ...]:
    """Return the command for the script, which must be in the working copy itself and is not changed."""
    work = folder.work.resolve()
    script = (work / start).resolve()
    if not script.is_relative_to(work) or not script.is_file():
        raise RepositoryUnusable(why=f"{start} is not a file of the repository")
    try:
        words = script_command(script, folder.scripts)
    except ValueError:
        words = []
    if not words or "\0" in "".join(words):
        raise RepositoryUnusable(why=f"the first line of {start} names no program")
    return tuple(words)
