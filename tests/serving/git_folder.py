"""`python -m tests.serving.git_folder FOLDER`: serves a folder's repositories to a Bindery on this machine, until Ctrl-C."""

import argparse
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from tests.serving.git_http import ALLOWED, SAFE, GitServer, with_config


def main() -> None:
    """Print the settings to make, and the link of each repository.

    The server reads the repositories directly: commit your changes first.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.serving.git_folder", description=__doc__)
    parser.add_argument("folder", type=Path)
    root = parser.parse_args().folder.expanduser().absolute()
    repositories = sorted(each.name for each in root.iterdir() if (each / "HEAD").exists() or (each / ".git").is_dir())
    if not repositories:
        parser.error(f"there is no repository in {root}")
    with GitServer(root) as server, suppress(KeyboardInterrupt):
        server.environment = with_config(SAFE | dict.fromkeys(ALLOWED, "true"))
        print(f"BINDERY_ALLOWED_PRIVATE_HOSTS={server.address} make up", flush=True)
        for name in repositories:
            print(f"/v2/git/{quote(server.url(quote(name)), safe='')}/HEAD", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
