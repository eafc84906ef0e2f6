"""`python -m tests.serving.git_folder FOLDER`: serves a folder's repositories to a Bindery on this machine, until Ctrl-C."""

import argparse
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from tests.serving.git_http import ALLOWED, ENVIRONMENT, GitServer


def main() -> None:
    """Prints what to set, and the link of each repository. They are read as they are: commit first."""
    parser = argparse.ArgumentParser(prog="python -m tests.serving.git_folder", description=__doc__)
    parser.add_argument("folder", type=Path)
    root = parser.parse_args().folder.expanduser().absolute()
    found = sorted(each.name for each in root.iterdir() if (each / "HEAD").exists() or (each / ".git").is_dir())
    if not found:
        parser.error(f"there is no repository in {root}")
    with GitServer(root) as server, suppress(KeyboardInterrupt):
        server.environment = ENVIRONMENT | _allowed()
        print(f"BINDERY_ALLOWED_PRIVATE_HOSTS={server.address} make up", flush=True)
        for name in found:
            print(f"/v2/git/{quote(server.url(quote(name)), safe='')}/HEAD", flush=True)
        threading.Event().wait()


def _allowed() -> dict[str, str]:
    """As git's environment has it: the repositories' own files stay as they are."""
    told = {"GIT_CONFIG_COUNT": str(len(ALLOWED) + 1)}  # one is there
    for number, key in enumerate(ALLOWED, 1):
        told |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": "true"}
    return told


if __name__ == "__main__":
    main()
