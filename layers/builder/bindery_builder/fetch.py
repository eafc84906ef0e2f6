"""The first step of every attempt: the repository's files."""

from pathlib import Path

from bindery.domain.builds import BuildOrder
from bindery.domain.errors import HostUnreachable
from bindery.ports.contents import Contents
from bindery_builder.images.inputs import select_inputs
from bindery_builder.process.runner import Runner

RECORDS = {
    "zenodo": "Zenodo",
    "figshare": "Figshare",
    "dataverse": "Dataverse",
    "hydroshare": "Hydroshare",
    "ckan": "CKAN",
}
"""Providers of records by the names that repo2docker has for them."""


def lay_out(contents: Contents, order: BuildOrder, commit: Path, folder: Path, runner: Runner) -> None:
    """Lay the order's commit out in `commit`, within the build's time, and what the build may read of it in `folder`.

    `commit` stays only if `folder` is not all of it. Raises what the contents port raises, RepositoryUnusable, Stopped, TimeOver.
    """
    repository = order.repository
    runner.log.say(f"Picked {RECORDS.get(repository.provider, 'Git')} content provider.")
    try:
        notes = contents.lay_out(repository, commit, runner.seconds_left, runner.stopped.is_set, exact=True).notes
    except HostUnreachable:
        runner.check()  # it may have ended because we asked it to
        raise
    for note in notes:
        runner.log.say(note)
    select_inputs(order, commit, folder)
    runner.check()
