"""This machine's setting for the forwarding of packets. It is on while any cluster runs, and afterwards as it was
before.
"""

from pathlib import Path

from tests.cluster.cached import alone
from tests.cluster.place import Place, existing_places

SWITCH = Path("/proc/sys/net/ipv4/ip_forward")


def turn_on(place: Place) -> None:
    with alone("forwarding"):
        others = _noted()
        _note(place).write_text((others[0] if others else SWITCH).read_text())
        SWITCH.write_text("1")


def give_back(place: Place) -> None:
    with alone("forwarding"):
        if _noted() == [_note(place)]:
            SWITCH.write_text(_note(place).read_text())
        _note(place).unlink(missing_ok=True)


def _note(place: Place) -> Path:
    """Return the file with the setting from before the first cluster."""
    return place.folder / "ip_forward"


def _noted() -> list[Path]:
    return [_note(place) for place in existing_places() if _note(place).exists()]
