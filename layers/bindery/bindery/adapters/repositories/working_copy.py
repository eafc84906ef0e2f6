"""The `.git` of a laid out working copy: one shallow commit, its pack, an index that matches the files."""

import shutil
from contextlib import closing
from pathlib import Path

from dulwich.index import write_index_dict
from dulwich.pack import SHA1Writer

from bindery.adapters.repositories.checkout import Written
from bindery.adapters.repositories.object_cache import INDEX, PACK

CONFIG = """[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
\tlogallrefupdates = true
[remote "origin"]
\turl = "{url}"
\tfetch = +refs/heads/*:refs/remotes/origin/*
"""


def write_git_folder(folder: Path, url: str, commit: str, pack: Path, written: Written) -> None:
    """Makes `folder` a working copy at `commit`, HEAD detached, with `url` as its origin (a checked address: nothing to quote).

    The pack is copied, not linked: whoever works in the session may write what is theirs, not what others are served from.
    """
    git = folder / ".git"
    for inner in ("objects/pack", "objects/info", "refs/heads", "refs/tags", "info"):
        (git / inner).mkdir(parents=True)
    for source, suffix in ((PACK, "pack"), (INDEX, "idx")):
        shutil.copyfile(pack / source, git / f"objects/pack/pack-{commit}.{suffix}")
    (git / "config").write_text(CONFIG.format(url=url), encoding="ascii")
    (git / "shallow").write_text(f"{commit}\n", encoding="ascii")
    with (git / "index").open("xb") as file, closing(SHA1Writer(file)) as checked:
        write_index_dict(checked, written.index, version=2)
    (git / "HEAD").write_text(f"{commit}\n", encoding="ascii")
