"""The start script of a container, run in an image that does not carry the commit, with a command that ends at once."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.serving.git_http import ENVIRONMENT, GitServer

SCRIPT = Path("layers/bindery/bindery/adapters/kubernetes/checkout.sh").absolute()
SHELLS = [shell for shell in ("sh", "bash", "busybox") if shutil.which(shell)]


def started(
    server: GitServer, ref: str, folder: Path, shell: str = "sh", link_ref: str = "HEAD"
) -> "subprocess.CompletedProcess[str]":
    """Start a session on the commit `ref` of `r.git`. Its files come into `work` in `folder`, which must not exist yet."""
    (folder / "work").mkdir()
    environment = ENVIRONMENT | {"PATH": os.environ["PATH"], "REPO_DIR": str(folder / "work"), "TMPDIR": str(folder)}
    interpreter = ["busybox", "sh"] if shell == "busybox" else [shell]
    command: list[str | Path] = [*interpreter, SCRIPT, ref, server.url("r.git"), link_ref, "echo", "started"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
