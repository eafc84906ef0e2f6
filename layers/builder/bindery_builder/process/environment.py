"""Environment variables for build processes: an allow-list of the machine's variables."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

MARK = "BINDERY_BUILD"

_ANY = (
    *("LANG", "LC_ALL", "TZ"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy"),
)
_INSTALLERS = (
    *("PIP_CERT", "PIP_CONFIG_FILE", "PIP_DEFAULT_TIMEOUT", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_INDEX_URL"),
    *("PIP_NO_INDEX", "PIP_TRUSTED_HOST"),
    *(
        "UV_CONCURRENT_BUILDS",
        "UV_CONCURRENT_DOWNLOADS",
        "UV_CONCURRENT_INSTALLS",
        "UV_DEFAULT_INDEX",
        "UV_EXTRA_INDEX_URL",
    ),
    *(
        "UV_FIND_LINKS",
        "UV_HTTP_TIMEOUT",
        "UV_INDEX",
        "UV_INDEX_URL",
        "UV_INSECURE_HOST",
        "UV_NATIVE_TLS",
        "UV_NO_INDEX",
    ),
    *("UV_OFFLINE", "UV_SYSTEM_CERTS"),
)
# Configuration of the container tool. These variables hold no credentials and are not passed to a build's steps.
_CONTAINER_TOOLS = (
    *("BUILDAH_ISOLATION", "BUILDAH_RUNTIME", "CONTAINERS_CONF", "CONTAINERS_REGISTRIES_CONF"),
    *("CONTAINERS_STORAGE_CONF", "STORAGE_DRIVER", "STORAGE_OPTS", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"),
    *("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_BUILDKIT"),
)


PROXIES = frozenset({"http_proxy", "https_proxy", "no_proxy", "all_proxy"})


def has_password(proxy: str) -> bool:
    """Return True if a proxy's address contains a user or a password. These belong to the operator."""
    return "@" in proxy


def search_path(machine: Mapping[str, str]) -> str:
    """Return PATH with pyenv's shims replaced by the folders of its versions.

    A shim reads the folder it runs in, and that folder belongs to a visitor.
    """
    folders: list[str] = []
    for folder in machine.get("PATH", os.defpath).split(os.pathsep):
        versions = Path(folder).parent / "versions"
        if Path(folder).name == "shims" and versions.is_dir():
            # The folder's order is arbitrary; users expect the newest version first.
            numbered = sorted(versions.iterdir(), key=_numbers, reverse=True)
            folders += [str(version / "bin") for version in numbered if (version / "bin").is_dir()]
        elif folder:
            folders.append(folder)
    return os.pathsep.join(folders)


def _numbers(version: Path) -> list[int]:
    return [int(part) for part in version.name.split(".") if part.isdecimal()]


def build_environment(machine: Mapping[str, str], folder: Path, cache: Path) -> dict[str, str]:
    """Return the variables for every process of the build in `folder`, including the repository's own scripts.

    A proxy is left out if its address contains a password, because the repository's scripts could read it. The variable MARK holds
    the folder and identifies stray processes. HOME and TMPDIR are in the folder; the cache is uv's.
    """
    without_passwords = {
        name: value for name, value in machine.items() if name.lower() not in PROXIES or not has_password(value)
    }
    venv = folder / "venv"
    path = os.pathsep.join([str(venv / "bin"), search_path(machine)])
    return {
        **_common(without_passwords, folder, _INSTALLERS),
        "PATH": path,
        "HOME": str(folder / "home"),
        "VIRTUAL_ENV": str(venv),
        # Variables that Binder sets for postBuild scripts.
        "NB_PYTHON_PREFIX": str(venv),
        "KERNEL_PYTHON_PREFIX": str(venv),
        "REPO_DIR": str(folder / "content"),
        "PYTHONUNBUFFERED": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_CACHE_DIR": str(cache),
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }


def tool_environment(machine: Mapping[str, str], folder: Path, home: Path, login: Path) -> dict[str, str]:
    """Return the variables for the container tool in the attempt's `folder`.

    home: a separate HOME, since the operator's configuration (git's, docker's) may lead to credentials. login: docker's
    configuration.
    """
    return {
        **_common(machine, folder, _CONTAINER_TOOLS),
        "PATH": search_path(machine),
        "HOME": str(home),
        "DOCKER_CONFIG": str(login),
        "BUILDKIT_PROGRESS": "plain",
        # docker would run git on the context on this machine, and git obeys the repository's configuration
        "BUILDX_GIT_INFO": "0",
        "BUILDX_GIT_LABELS": "0",
        "BUILDX_GIT_CHECK_DIRTY": "0",
    }


def _common(machine: Mapping[str, str], folder: Path, more: Sequence[str]) -> dict[str, str]:
    passed = {name: value for name, value in machine.items() if name in _ANY or name in more}
    return {
        "LANG": "C.UTF-8",
        **passed,
        MARK: str(folder),
        "TMPDIR": str(folder / "tmp"),
        "TERM": "dumb",
        "NO_COLOR": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }
