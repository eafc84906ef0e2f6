"""The first step of every attempt: the repository's files."""

from pathlib import Path

from bindery.adapters.builds.running import Runner
from bindery.domain.errors import HostUnreachable
from bindery.domain.repository import Repository
from bindery.ports.contents import Contents

RECORDS = {
    "zenodo": "Zenodo",
    "figshare": "Figshare",
    "dataverse": "Dataverse",
    "hydroshare": "Hydroshare",
    "ckan": "CKAN",
}
"""Providers of records by the names that repo2docker has for them."""


def lay_out(contents: Contents, repository: Repository, folder: Path, runner: Runner) -> None:
    """Into `folder`, within the build's time. Raises what the contents port raises, Stopped, TimeOver."""
    runner.log.say(f"Picked {RECORDS.get(repository.provider, 'Git')} content provider.")
    try:
        notes = contents.lay_out(repository, folder, runner.seconds_left, runner.stopped.is_set).notes
    except HostUnreachable:
        runner.check()  # it may have ended because we asked it to
        raise
    for note in notes:
        runner.log.say(note)
    runner.check()
