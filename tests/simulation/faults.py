"""What can go wrong, each with its own rate, mixed anew for every seed."""

from dataclasses import dataclass, fields, replace
from random import Random


@dataclass(frozen=True)
class Faults:
    """Rates: 0 never, 1 always. killed, throttled, slow: for each port call. Those of messages: for each one."""

    killed: float = 0
    throttled: float = 0
    slow: float = 0
    message_doubled: float = 0
    message_late: float = 0
    message_lost: float = 0
    event_lost: float = 0
    event_doubled: float = 0
    event_late: float = 0
    index_lags: float = 0
    timer_doubled: float = 0
    timer_missed: float = 0
    host_down: float = 0
    build_service_down: float = 0
    build_fails: float = 0
    build_vanishes: float = 0
    build_hangs: float = 0
    image_evicted: float = 0
    launcher_down: float = 0
    session_slow: float = 0
    session_dies_early: float = 0
    session_dies_late: float = 0
    session_silent: float = 0
    network_ill: float = 0
    visitor_reloads: float = 0
    visitor_leaves: float = 0
    visitor_stops: float = 0


MOST = Faults(
    killed=0.05,
    throttled=0.06,
    slow=0.05,
    message_doubled=0.3,
    message_late=0.15,
    message_lost=0.1,
    event_lost=0.5,
    event_doubled=0.4,
    event_late=0.4,
    index_lags=0.5,
    timer_doubled=0.2,
    timer_missed=0.2,
    host_down=0.2,
    build_service_down=0.2,
    build_fails=0.25,
    build_vanishes=0.2,
    build_hangs=0.1,
    image_evicted=0.15,
    launcher_down=0.1,
    session_slow=0.3,
    session_dies_early=0.2,
    session_dies_late=0.2,
    session_silent=0.1,
    network_ill=0.05,
    visitor_reloads=0.4,
    visitor_leaves=0.2,
    visitor_stops=0.25,
)


CALM = Faults(message_doubled=0.4, message_late=0.1, event_doubled=0.2, event_late=0.2, visitor_reloads=0.3)
"""Nothing is lost and nobody dies: everything has to come to its end without any timer."""


def mixed(random: Random) -> Faults:
    """About half of the faults, each somewhere up to its most."""
    rates = {fault.name: getattr(MOST, fault.name) for fault in fields(Faults)}
    return replace(Faults(), **{name: most * random.random() for name, most in rates.items() if random.random() < 0.5})
