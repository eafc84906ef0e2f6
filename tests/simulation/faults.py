"""The possible faults, each with its own rate, mixed anew for every seed."""

from dataclasses import dataclass, fields, replace
from random import Random


@dataclass(frozen=True)
class Faults:
    """The rates of faults: 0 never, 1 always.

    Of functions and table: for each port call. Of messages: for each one. deploys: for each world.
    """

    # Functions: ended between two port calls, slow, with clocks that are apart by seconds, of two versions at once
    killed: float = 0
    slow: float = 0
    clock_apart: float = 0
    deploys: float = 0
    # Table and queues: refused, in conflict with another transaction, overtaken by another write, done but unanswered
    throttled: float = 0
    conflicts: float = 0
    rival_writes: float = 0
    unanswered: float = 0
    index_lags: float = 0
    # Messages: twice, to two functions in the same moment, late, not this time, never
    message_doubled: float = 0
    message_twins: float = 0
    message_late: float = 0
    message_lost: float = 0
    message_doomed: float = 0
    event_lost: float = 0
    event_doubled: float = 0
    event_late: float = 0
    event_of_older_attempt: float = 0
    timer_doubled: float = 0
    timer_missed: float = 0
    # Hosts and the build service
    host_down: float = 0
    host_limits: float = 0
    host_hangs: float = 0
    pushes: float = 0
    build_service_down: float = 0
    build_start_unanswered: float = 0
    build_refused: float = 0
    build_not_known_yet: float = 0
    build_waits: float = 0
    build_fails: float = 0
    build_vanishes: float = 0
    build_comes_back: float = 0
    build_hangs: float = 0
    image_evicted: float = 0
    # Sessions
    launcher_down: float = 0
    session_start_unanswered: float = 0
    cluster_full: float = 0
    session_slow: float = 0
    session_unschedulable: float = 0
    session_dies_early: float = 0
    session_dies_late: float = 0
    session_vanishes: float = 0
    session_silent: float = 0
    session_busy: float = 0
    network_ill: float = 0
    # People
    visitor_reloads: float = 0
    visitor_leaves: float = 0
    visitor_stops: float = 0


MOST = Faults(
    killed=0.05,
    slow=0.05,
    clock_apart=0.5,
    deploys=0.5,
    throttled=0.06,
    conflicts=0.1,
    rival_writes=0.1,
    unanswered=0.05,
    index_lags=0.5,
    message_doubled=0.3,
    message_twins=0.3,
    message_late=0.15,
    message_lost=0.1,
    message_doomed=0.03,
    event_lost=0.5,
    event_doubled=0.4,
    event_late=0.4,
    event_of_older_attempt=0.5,
    timer_doubled=0.2,
    timer_missed=0.2,
    host_down=0.2,
    host_limits=0.05,
    host_hangs=0.1,
    pushes=0.5,
    build_service_down=0.2,
    build_start_unanswered=0.2,
    build_refused=0.2,
    build_not_known_yet=0.3,
    build_waits=0.2,
    build_fails=0.25,
    build_vanishes=0.2,
    build_comes_back=0.5,
    build_hangs=0.1,
    image_evicted=0.3,
    launcher_down=0.1,
    session_start_unanswered=0.1,
    cluster_full=0.1,
    session_slow=0.3,
    session_unschedulable=0.05,
    session_dies_early=0.2,
    session_dies_late=0.2,
    session_vanishes=0.1,
    session_silent=0.1,
    session_busy=0.5,
    network_ill=0.05,
    visitor_reloads=0.4,
    visitor_leaves=0.2,
    visitor_stops=0.25,
)

CALM = Faults(
    message_doubled=0.4,
    message_twins=0.3,
    message_late=0.1,
    event_doubled=0.2,
    event_late=0.2,
    event_of_older_attempt=0.3,
    build_fails=0.2,
    clock_apart=0.3,
    pushes=0.3,
    session_busy=0.3,
    visitor_reloads=0.3,
)
"""Faults without any lost message or killed function. All work has to end without a timer."""

ROUGH = replace(
    CALM,
    killed=0.02,
    slow=0.02,
    throttled=0.03,
    conflicts=0.05,
    rival_writes=0.1,
    unanswered=0.03,
    host_down=0.1,
    build_service_down=0.1,
    build_start_unanswered=0.1,
    build_fails=0.4,
    launcher_down=0.1,
    session_start_unanswered=0.1,
    cluster_full=0.2,
    session_slow=0.2,
    session_dies_early=0.1,
)
"""Functions of queues die and are refused, but queues bring their messages again: still without any timer."""


THEMES = (
    ("killed",),
    ("throttled", "unanswered", "conflicts"),
    ("clock_apart", "index_lags", "timer_doubled"),
    ("message_doubled", "message_twins", "slow"),
    ("message_late", "event_late", "event_of_older_attempt"),
    ("deploys", "message_late", "message_lost"),
    ("message_doomed", "killed"),
    ("host_limits", "host_down", "message_doubled", "message_twins", "slow"),
    ("build_fails", "build_not_known_yet", "pushes"),
    ("build_vanishes", "build_comes_back", "message_twins", "slow"),
    ("image_evicted", "session_slow", "pushes"),
    ("session_dies_early", "launcher_down", "session_start_unanswered"),
    ("session_busy", "network_ill", "session_silent"),
    ("visitor_stops", "visitor_reloads", "session_slow"),
)
"""Troubles that belong together: at their full rates and without the others, so that nothing heals what one of them did."""


SELDOM_MET = (
    Faults(build_start_unanswered=0.5, build_waits=0.8, visitor_stops=0.8),
    Faults(build_service_down=0.7, visitor_stops=0.8),
    Faults(host_limits=0.3, message_twins=0.8),
)
"""Troubles that seldom meet, at rates at which they do."""


def mixed(random: Random, most: Faults = MOST) -> Faults:
    """Return a random selection of the faults in `most`, each at a random rate up to its rate there.

    The selection is a theme or two, or about half of the faults, or all. It may also be a mix of faults that seldom
    meet.
    """
    names = [fault.name for fault in fields(Faults) if getattr(most, fault.name)]
    kind = random.random()
    if kind < 0.18 and most is MOST:
        return random.choice(SELDOM_MET)
    if kind < 0.45:
        themes = {name for theme in random.sample(THEMES, random.choice((1, 1, 2))) for name in theme}
        return replace(Faults(), **{name: getattr(most, name) for name in names if name in themes})
    share = 0.5 if kind < 0.8 else 1
    return replace(
        Faults(), **{name: getattr(most, name) * random.random() for name in names if random.random() < share}
    )
