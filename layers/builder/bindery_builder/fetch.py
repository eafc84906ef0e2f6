"""First step of every attempt: fetch the repository's files."""

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
