"""First step of every build attempt: fetch the repository's files and select those that the build may read."""

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
"""Names of record providers in repo2docker's log line."""


def fetch_inputs(contents: Contents, order: BuildOrder, commit_folder: Path, inputs: Path, runner: Runner) -> None:
    """Write all files of the order's commit to `commit_folder`, and those that the build may read to `inputs`.

    Keeps to the build's time limit. If the build may read all files, `commit_folder` is renamed to `inputs`. Raises the errors of the
    contents port, RepositoryUnusable, Stopped and TimeOver.
    """
    repository = order.repository
    runner.log.say(f"Picked {RECORDS.get(repository.provider, 'Git')} content provider.")
    try:
        notes = contents.checkout(
            repository, commit_folder, runner.seconds_left, runner.stopped.is_set, exact=True
        ).notes
    except HostUnreachable:
        runner.check()  # the fetch may have ended because the build was stopped
        raise
    for note in notes:
        runner.log.say(note)
    select_inputs(order, commit_folder, inputs)
    runner.check()


def select_inputs(order: BuildOrder, commit_folder: Path, inputs: Path) -> None:
    """Create `inputs`, which must not exist before, with the files that the environment's key covers.

    commit_folder: all files of the order's commit. With scope `files`, other commits share the environment: only `order.files` are
    copied, and `commit_folder` remains. The key covers contents but not modes, so each copy gets mode 0644. With another scope,
    `commit_folder` is renamed to `inputs`. Raises RepositoryUnusable if a file is missing, is not regular, or has a link in its path.
    """
    if order.scope != Scope.FILES:
        commit_folder.rename(inputs)
        return
    inputs.mkdir()
    top = commit_folder.resolve()
    for name in order.files:
        source, target = commit_folder / name, inputs / name
        if not source.is_file() or source.resolve() != top / name:
            raise RepositoryUnusable(why=f"{name} is not a regular file of the repository")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(0o644)
