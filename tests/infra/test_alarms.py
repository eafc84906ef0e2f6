"""Tests that alarms ring at values that the template's defaults can reach."""

import re

import pytest

from tests.infra.deployed.rights import RESOURCES, TEMPLATE
from tests.infra.deployed.variables import resolved

HOUR = 3600


def default(parameter: str) -> float:
    return float(TEMPLATE["Parameters"][parameter]["Default"])


def alarm(name: str) -> dict[str, object]:
    properties: dict[str, object] = RESOURCES[name]["Properties"]
    return properties


def build_minutes(seconds: float, slots: int) -> float:
    """Return the alarm's number for one hour in which the ended builds took so many seconds together."""
    metrics = alarm("BuildsTakeLong")["Metrics"]
    assert isinstance(metrics, list)
    expression = str(resolved(metrics[0]["Expression"], {"BuildSlots": str(slots)}))
    match = re.fullmatch(r"seconds / (\d+) / (\d+)", expression)
    assert match, expression
    return seconds / int(match[1]) / int(match[2])


@pytest.mark.parametrize("slots", [1, 2, 20])
def test_build_minutes_alarm_rings_when_all_slots_build_permanently_not_at_half_load(slots: int) -> None:
    threshold = float(str(resolved(alarm("BuildsTakeLong")["Threshold"], {})))
    assert build_minutes(slots * HOUR, slots) > threshold
    assert build_minutes(slots * HOUR / 2, slots) < threshold


def test_build_minutes_alarm_rings_for_builds_at_their_limit() -> None:
    """Minutes count when a build ends, so enough builds of the longest kind have to end within an hour."""
    slots, threshold = int(default("BuildSlots")), default("BuildMinutesToAlarm")
    ended = int(HOUR / default("BuildSeconds")) * slots
    assert build_minutes(ended * default("BuildSeconds"), slots) > threshold


def test_build_minutes_alarm_threshold_stays_below_the_possible_maximum() -> None:
    assert TEMPLATE["Parameters"]["BuildMinutesToAlarm"]["MaxValue"] < 60


def test_failures_alarm_rings_before_one_client_exhausts_its_launch_limit() -> None:
    """The alarm rings within its period, even if there is no other client."""
    period = float(str(alarm("LaunchesFailHere")["Period"]))
    assert default("FailuresToAlarm") < default("PageRateLimit") * period / HOUR


def test_silence_alarm_can_ring_within_the_session_quota() -> None:
    """The sessions of several clients can set it off. One client alone cannot."""
    from bindery.usecases.cull_sessions import MANY_COUNT, MANY_SHARE

    most = default("QuotaTotal")
    assert max(MANY_COUNT, most * MANY_SHARE) < most
    assert default("ClientSessions") < most
