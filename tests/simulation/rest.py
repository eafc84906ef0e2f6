"""Rules for the time after a sweep without trouble, and for the quiet at the end: no work is late, and no remains are
left.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from bindery.domain.launch import ENDED, Launch, Stage
from bindery.domain.sessions import Session, SessionState
from bindery.ports.table import Item
from bindery.state.build_slots import LINE, SLOTS
from bindery.state.popular import SHOWN
from tests.fakes.sessions import Running
from tests.simulation.around import MOST_SKEW_SECONDS
from tests.simulation.broken import Broken
from tests.simulation.invariants import Watched
from tests.simulation.sessions import SimSessions
from tests.simulation.tables import MOST_LAG_SECONDS
from tests.simulation.turns import Turns

START_SECONDS = 60.0
APART_SECONDS = 2 * MOST_SKEW_SECONDS + MOST_LAG_SECONDS


def check_all_ended(launches: Mapping[str, Launch], orphaned: Callable[[Launch], bool]) -> None:
    """Check that all launches ended without a timer, if no message was lost.

    The exception is a build that was never requested, because the launch that claimed it failed before.
    """
    for launch in launches.values():
        if launch.stage not in ENDED and not orphaned(launch):
            raise Broken(f"nothing was lost, and a launch is still {launch.stage}", launch.id)


def check_deadlines(launches: Iterable[Launch], start: float, period: float) -> None:
    """Check deadlines after a sweep without trouble that began then."""
    for launch in launches:
        if launch.stage not in ENDED and launch.deadline < start - 2 * period:
            raise Broken("a launch outlived its deadline and a sweep", launch.id)


def check_pairs(
    sessions: Mapping[str, Session], launcher: SimSessions, stop_reasons: Mapping[str, str], start: float
) -> None:
    """Check pairs after a sweep without trouble that began then.

    For long there is no object without a record, and no record without an object.
    """
    long_ago = start - START_SECONDS - APART_SECONDS
    for session, session_object in launcher.running.items():
        record = sessions.get(session)
        if session_object.started < long_ago and (record is None or record.state is SessionState.ENDED):
            ended = "has no record" if record is None else "ended"
            if record is None or session not in stop_reasons:
                raise Broken(f"an object is still there and its session {ended}", session)
    for record in sessions.values():
        if record.state is not SessionState.RUNNING:
            continue
        young = max(record.created_at, record.last_activity) > long_ago
        gone_at = launcher.facts[record.id].gone_at if record.id in launcher.facts else None
        gone = gone_at is not None and gone_at < start
        if not young and gone and record.id not in stop_reasons:
            raise Broken("a session has no object, and its end was not requested", record.id)


def check_ages(watched: Watched, stop_reasons: Mapping[str, str], start: float, limit: float, period: float) -> None:
    """Check ages after a sweep without trouble that began then.

    A session that is too old is asked to end, once it was ready for long enough to be due.
    """
    for session in watched.sessions.values():
        if session.state is not SessionState.RUNNING:
            continue
        ready_at = watched.launches[session.id].ended_at or start
        old = max(session.created_at + limit, ready_at) + period + APART_SECONDS < start
        if old and session.id not in stop_reasons:
            raise Broken("a session outlived its limit and a sweep", session.id)


def check_turns(turns: Turns, is_notified: Callable[[str, int], bool], seconds: float, now: float) -> None:
    """Check that the first in line is notified of a free slot within that time.

    now: or the time when a sweep without trouble began.
    """
    first = turns.passed_over(now - seconds)
    if first and not is_notified(*first):
        raise Broken("a slot is free, and the first in line was not notified", first[0])


def check_held(
    turns: Turns, is_idle: Callable[[str, int, float], bool], is_notified: Callable[[str, int], bool], since: float
) -> None:
    """Check slots after a sweep without trouble.

    No attempt that was not started has had a slot since then, if no launch waits for it.
    """
    for environment, attempt in turns.held_for_long(since):
        if is_idle(environment, attempt, since) and not is_notified(environment, attempt):
            raise Broken("a slot is held by an attempt that was not started and that no launch waits for", environment)


def check_unwanted(running: Iterable[str], runs_unwanted: Callable[[str, float], bool], since: float) -> None:
    """Check builds after a sweep without trouble: no build runs without a launch that has waited for it since then."""
    for handle in running:
        if runs_unwanted(handle, since):
            raise Broken("a build runs on, and no launch waits for it", handle.rpartition("-")[0])


def check_quiet(items: list[Item], objects: Mapping[str, Running], running: list[str]) -> None:
    """Check the state long after the last fault and the last visitor."""
    for item in items:
        _check_at_rest(item)
    if objects:
        raise Broken("an object is left without a session", next(iter(objects)))
    if running:
        raise Broken("a build still runs", running[0].rpartition("-")[0])
    _check_counts(items)


def _check_at_rest(item: Item) -> None:
    kind, _, about = item.pk.partition("#")
    if item.due_at is not None and not str(item.due_shard).startswith("image#"):  # an image is due weeks later
        raise Broken(f"a {kind} is still due", about)
    if item.pk in (SLOTS, LINE) or item.sk == "place":
        raise Broken(
            f"a build's place is left: {item.pk} {item.sk}", item.data.get("environment", about.rpartition("#")[0])
        )
    if "#waiters#" in item.pk:
        raise Broken(f"launch {item.sk} still waits for {about}", item.sk)
    if item.pk.startswith("places#") and item.data["taken"]:
        raise Broken(f"{item.data['taken']} places are still taken: {item.pk} {item.sk}", about)
    if item.sk == "launch" and Launch.model_validate(item.data).stage not in ENDED:
        raise Broken("a launch has not ended", about)
    if item.sk == "session" and item.data["state"] != SessionState.ENDED:
        raise Broken("a session has not ended", about)


def _check_counts(items: list[Item]) -> None:
    """Check that every launch is counted exactly once, with its own kind of end."""
    launches = [Launch.model_validate(item.data) for item in items if item.sk == "launch"]
    ready = [launch for launch in launches if launch.stage is Stage.READY]
    true = {
        ("binderhub_launch_count", "status=success"): len(ready),
        ("binderhub_launch_count", "status=failure"): len(launches) - len(ready),
        ("bindery_launches_ready", "attempt=first"): sum(launch.at_first_attempt for launch in ready),
        ("bindery_launches_ready", "attempt=later"): sum(not launch.at_first_attempt for launch in ready),
    }
    repositories = len({launch.repo_url for launch in launches})
    counted: Counter[tuple[str, str]] = Counter()
    for item in items:
        if item.pk.startswith("counters#"):
            name, *labels = item.sk.split("\x1f")
            counted.update({(name, label): int(item.data["sum"]) for label in labels})
        if item.pk.startswith("popular#"):  # launches of repositories that are named are counted there
            for row, count in item.data["rows"].items():
                name, *labels = row.split("\x1f")
                counted.update({(name, label): int(count) for label in labels})
    for (name, label), count in true.items():
        # Counts of a repository that is named no longer are given up, so with many repositories some are missing.
        if counted[name, label] > count or (counted[name, label] < count and repositories <= SHOWN):
            raise Broken(f"{name} {label} counts {counted[name, label]} launches of {count}", "")
