"""The command of infra/docs/hosts.md that serves a folder of repositories on this machine."""

import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

from tests.serving.git_http import git
from tests.serving.runtime import ROOT


def test_a_folder_of_repositories_is_served_with_filters(tmp_path: Path) -> None:
    folder = tmp_path / "my repo"
    git("init", "--quiet", folder)
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    (folder / "large").write_text("not sent before it is asked for")
    git("-C", folder, "add", "large")
    git("-C", folder, *identity, "commit", "--quiet", "--message=one")
    command = [sys.executable, "-m", "tests.serving.git_folder", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as served:
        try:
            assert served.stdout is not None
            setting, link = served.stdout.readline().split(), served.stdout.readline().strip()
            kind, _, spec = link.removeprefix("/v2/").partition("/")
            url = unquote(spec.removesuffix("/HEAD"))
            assert (kind, setting[1:]) == ("git", ["make", "up"])
            assert url.startswith(f"http://{setting[0].removeprefix('BINDERY_ALLOWED_PRIVATE_HOSTS=')}/")
            git("clone", "--quiet", "--bare", "--filter=blob:none", url, tmp_path / "cloned")
        finally:
            served.terminate()
    blob = git("-C", folder, "rev-parse", "HEAD:large").strip()
    assert b"?" + blob in git("-C", tmp_path / "cloned", "rev-list", "--objects", "--missing=print", "HEAD").split()
