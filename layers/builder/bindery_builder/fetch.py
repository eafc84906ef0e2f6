"""First step of every attempt: fetch the repository's files, and select those that the build may read."""

import shutil
from pathlib import Path

from bindery.domain.builds import BuildOrder
from bindery.domain.environment import Scope
from bindery.domain.errors import HostUnreachable, RepositoryUnusable
from bindery.ports.contents import Contents
from bindery_builder.process.runner import Runner

RECORDS = {
    "zenodo": "Zenodo",
    "figshare": "Figshare",
    "dataverse": "Dataverse",
    "hydroshare": "Hydroshare",
    "ckan": "CKAN",
}
"""Record providers and the names that repo2docker uses for them."""


def checkout(contents: Contents, order: BuildOrder, commit: Path, folder: Path, runner: Runner) -> None:
    """Lay out the order's commit in `commit`, and the part of it that the build may read in `folder`.

    Respects the build's deadline. `commit` remains only if `folder` is not the whole commit. Raises the errors of the contents
    port, RepositoryUnusable, Stopped and TimeOver.
    """
    repository = order.repository
    runner.log.say(f"Picked {RECORDS.get(repository.provider, 'Git')} content provider.")
    try:
        notes = contents.checkout(repository, commit, runner.seconds_left, runner.stopped.is_set, exact=True).notes
    except HostUnreachable:
        runner.check()  # the fetch may have ended because the build was stopped
        raise
    for note in notes:
        runner.log.say(note)
    select_inputs(order, commit, folder)
    runner.check()


def select_inputs(order: BuildOrder, commit: Path, folder: Path) -> None:
    """Create `folder` (absent before) with the files of `commit` that the environment's key covers.

    commit: the working copy of the order's commit. With scope `files`, sessions of other commits share the result, so `folder` gets
    only `order.files`, and `commit` stays. The key covers contents and not modes: each file gets mode 0644. With another scope,
    `commit` becomes `folder`. Raises RepositoryUnusable if one of the files is missing or is reached through a link.
    """
    if order.scope != Scope.FILES:
        commit.rename(folder)
        return
    folder.mkdir()
    top = commit.resolve()
    for name in order.files:
        source, target = commit / name, folder / name
        if not source.is_file() or source.resolve() != top / name:
            raise RepositoryUnusable(why=f"{name} is not a file of it")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(0o644)
