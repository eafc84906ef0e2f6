"""Writer of a working copy's `.git`: packs, an index that matches the files, and the history if there is one."""

import shutil
from contextlib import closing
from pathlib import Path
from typing import Final

from dulwich.index import write_index_dict
from dulwich.pack import SHA1Writer

from bindery.adapters.git.protocol import HEADS
from bindery_builder.contents.copying import Source
from bindery_builder.contents.history import History
from bindery_builder.contents.pack_cache import INDEX, PACK
from bindery_builder.contents.work_tree import Written

CORE: Final = """[core]
\trepositoryformatversion = {version}
\tfilemode = true
\tbare = false
\tlogallrefupdates = true
[remote "origin"]
\turl = "{url}"
\tfetch = +refs/heads/*:refs/remotes/origin/*
"""
PARTIAL: Final = """\tpromisor = true
\tpartialclonefilter = tree:0
[extensions]
\tpartialClone = origin
"""
BRANCH: Final = """[branch "{name}"]
\tremote = origin
\tmerge = "refs/heads/{name}"
"""
SIZE_AND_TIME: Final = "[core]\n\tcheckStat = minimal\n\ttrustctime = false\n"
PACKED_REFS: Final = "# pack-refs with: peeled fully-peeled sorted \n"
CHECKSUM_BYTES: Final = 20


def write_git_folder(folder: Path, source: Source, pack: Path, history: History | None) -> None:
    """Make `folder` a working copy of the source. The source's address is validated, so it needs no quoting.

    With a history it is a partial clone on the launched branch, or with a detached HEAD; without one it is a shallow clone. Packs
    are copied, not linked: a session may write its own files, and must not change those of others.
    """
    git, commit = folder / ".git", source.commit
    for inner in ("objects/pack", "objects/info", "refs/heads", "refs/tags", "info"):
        (git / inner).mkdir(parents=True)
    _copy_pack(pack, git, commit)
    config = CORE.format(url=source.url, version=1 if history else 0)
    head = commit
    shallow: tuple[str, ...] = (commit,)
    if history:
        _copy_pack(history.place, git, _checksum(history.place / PACK))
        for each in (git / "objects/pack").glob("*.pack"):
            each.with_suffix(".promisor").touch()
        config += PARTIAL
        shallow = history.shallow
        if history.branch:
            head = f"ref: {HEADS}{history.branch}"
            config += BRANCH.format(name=_quoted(history.branch))
        (git / "packed-refs").write_text(_packed_refs(history, commit), encoding="utf-8")
        if history.branch and history.branch == history.default:
            (git / "refs/remotes/origin").mkdir(parents=True)
            (git / "refs/remotes/origin/HEAD").write_text(
                f"ref: refs/remotes/origin/{history.branch}\n", encoding="utf-8"
            )
    (git / "config").write_text(config, encoding="utf-8")
    if shallow:
        (git / "shallow").write_text("".join(f"{each}\n" for each in sorted(shallow)), encoding="ascii")
    (git / "HEAD").write_text(f"{head}\n", encoding="utf-8")


def write_index(folder: Path, written: Written, *, large_files: bool) -> None:
    """Write the index of a working copy after its last file, so that git reports a clean state.

    large_files: True if files of Git LFS have replaced their pointers. Git then compares only their size and time, also in copies
    of the working copy, since their content differs from the commit's.
    """
    git = folder / ".git"
    if large_files:
        with (git / "config").open("a", encoding="utf-8") as config:
            config.write(SIZE_AND_TIME)
    with (git / "index").open("xb") as file, closing(SHA1Writer(file)) as checked:
        write_index_dict(checked, written.index, version=2)


def _copy_pack(place: Path, git: Path, name: str) -> None:
    for source, suffix in ((PACK, "pack"), (INDEX, "idx")):
        shutil.copyfile(place / source, git / f"objects/pack/pack-{name}.{suffix}")


def _checksum(pack: Path) -> str:
    with pack.open("rb") as file:
        file.seek(-CHECKSUM_BYTES, 2)
        return file.read().hex()


def _quoted(name: str) -> str:
    """Return a branch's name for a quoted value in git's configuration.

    Branch names may contain quotes, but no control characters.
    """
    return name.replace("\\", "\\\\").replace('"', '\\"')


def _packed_refs(history: History, commit: str) -> str:
    lines = {
        tag.name: f"{tag.id} {tag.name}\n" + (f"^{tag.commit}\n" if tag.commit != tag.id else "")
        for tag in history.tags
    }
    if history.branch:
        for name in (f"{HEADS}{history.branch}", f"refs/remotes/origin/{history.branch}"):
            lines[name] = f"{commit} {name}\n"
    return PACKED_REFS + "".join(lines[name] for name in sorted(lines, key=str.encode))
