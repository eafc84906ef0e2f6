"""Stories of timers: they repair losses, and end sessions and builds that are over."""

from dataclasses import replace

from bindery.domain.launch import Stage
from tests.infra.deployed.stories.acting import (
    building,
    building_with_a_session,
    created,
    has_stopped,
    lost,
    reason,
    running,
    the_build,
)
from tests.infra.deployed.stories.telling import story
from tests.infra.deployed.system import PLACES, Deployed


@story
def sessions_are_idle(there: Deployed) -> None:
    launches = [running(there) for _ in range(3)]
    for seconds in (120, 660):
        there.ports.time.advance(seconds)
        there.call("CullSessions", {})
    there.settle()
    assert all(has_stopped(there, launch) for launch in launches)


@story
def the_network_is_ill(there: Deployed) -> None:
    launches = [running(there) for _ in range(PLACES)]
    for session in there.ports.sessions.running.values():
        session.answers = False
    there.ports.time.advance(120)
    there.call("CullSessions", {})
    there.call("Reconcile", {})
    assert "bindery_sweeps_in_doubt" in there.web("ServePages", "GET", "/metrics")["body"]
    assert not any(has_stopped(there, launch) for launch in launches)


@story
def messages_are_lost(there: Deployed) -> None:
    launch, _ = created(there)
    for stage in (Stage.RESOLVING, Stage.BUILDING):
        assert there.launch(launch).stage is stage
        lost(there, 61)
        there.call("Reconcile", {})
        there.deliver(there.waiting.pop())
    there.ports.service.finish(the_build(there))
    there.tell()
    lost(there, 61)
    there.call("Reconcile", {})
    there.settle()
    there.call("Reconcile", {})
    assert there.launch(launch).stage is Stage.READY
    assert "binderhub_launch_count" in there.web("ServePages", "GET", "/metrics")["body"]


@story
def events_are_lost(there: Deployed) -> None:
    launches = [building(there), created(there)[0]]
    there.settle()
    there.ports.service.finish(the_build(there))
    lost(there, 61)
    there.call("Reconcile", {})
    there.settle()
    assert {there.launch(launch).stage for launch in launches} == {Stage.READY}


@story
def a_build_is_forgotten_and_nobody_hears(there: Deployed) -> None:
    launch = building(there)
    there.settle()
    there.ports.service.reports.clear()
    lost(there, 61)
    there.call("Reconcile", {})
    there.settle()
    assert there.launch(launch).attempt == 2


@story
def a_launch_takes_too_long(there: Deployed) -> None:
    launch = building_with_a_session(there)
    there.ports.time.advance(86400)
    there.call("Reconcile", {})
    assert reason(there, launch) == "DeadlinePassed"
    assert there.waiting[-1].queue == "stops"


@story
def sessions_and_records_are_compared(there: Deployed) -> None:
    died, healthy, unknown = (running(there) for _ in range(3))
    there.ports.time.advance(3600)
    there.ports.sessions.die(died)
    there.system.state.sessions.stopping(unknown, "by hand")
    there.system.state.sessions.ended(unknown)
    for _ in range(2):
        there.call("Reconcile", {})
        there.settle()
    assert list(there.ports.sessions.running) == [healthy]


@story
def places_are_counted_again(there: Deployed) -> None:
    running(there)
    (item,) = there.system.state.quotas.counters()
    there.ports.table.put(replace(item, data={"taken": 3}))
    for _ in range(2):
        there.call("Reconcile", {})
        there.ports.time.advance(60)
    assert there.system.state.quotas.taken() == 1


@story
def an_image_is_launched_no_more(there: Deployed) -> None:
    launch = running(there)
    there.system.state.sessions.stopping(launch, "by hand")
    there.system.state.sessions.ended(launch)
    there.ports.time.advance(40 * 86400)
    there.call("Reconcile", {})
    assert there.ports.service.images == set()


@story
def a_build_never_ends(there: Deployed) -> None:
    launch = building(there)
    there.settle()
    lost(there, there.system.settings.build_seconds + 300)
    there.call("Reconcile", {})
    there.settle()
    assert reason(there, launch) == "BuildFailed"
