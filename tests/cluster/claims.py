"""Claims on clusters' places. A place belongs to the process that starts it, until that process hands it to its
checkout.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path

from bindery_local.processes import Process, alive, status_of
from tests.cluster.cached import alone
from tests.cluster.clearing import clear
from tests.cluster.place import NUMBERS, Place, existing_places

CHECKOUT = str(Path(__file__).parents[2])


def claim() -> Place:
    """Return a free place for a cluster of this process, and clear away those of dead processes.

    Raise RuntimeError when all places are taken.
    """
    with alone("claims"):
        _clear_abandoned()
        for place in map(Place, NUMBERS):
            if place.is_free():
                place.folder.mkdir(mode=0o755)
                status = status_of(os.getpid())
                assert status is not None
                _note(place, asdict(status.process))
                return place
    raise RuntimeError(f"{len(NUMBERS)} clusters run on this machine")


def hand_over(place: Place) -> None:
    """Give the place to its checkout, so that the cluster outlives this process."""
    _note(place, None)


def of_this_checkout() -> list[Place]:
    """Return the places that were handed over to this checkout."""
    return [place for place in existing_places() if _owner(place) == (CHECKOUT, None)]


def give_up() -> None:
    """Clear away the clusters of this checkout and of dead processes."""
    with alone("claims"):
        _clear_abandoned()
        for place in of_this_checkout():
            clear(place)


def _clear_abandoned() -> None:
    """Clear away clusters of dead processes and of checkouts that are gone."""
    for place in existing_places():
        checkout, owner = _owner(place)
        if not (alive(owner) if owner else Path(checkout).exists()):
            clear(place)


def _note(place: Place, process: dict[str, int] | None) -> None:
    note = place.folder / "owner.new"
    note.write_text(json.dumps({"checkout": CHECKOUT, "process": process}))
    note.rename(place.folder / "owner.json")


def _owner(place: Place) -> tuple[str, Process | None]:
    path = place.folder / "owner.json"
    if not path.exists():  # its process died between two lines: the record names a checkout that does not exist
        return str(path), None
    note = json.loads(path.read_text())
    return note["checkout"], Process(**note["process"]) if note["process"] else None
