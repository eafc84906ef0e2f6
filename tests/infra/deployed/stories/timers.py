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
def sessions_are_idle(deployment: Deployed) -> None:
    launches = [running(deployment) for _ in range(3)]
    for seconds in (120, 660):
        deployment.ports.time.advance(seconds)
        deployment.call("CullSessions", {})
    deployment.settle()
    assert all(has_stopped(deployment, launch) for launch in launches)


@story
def the_network_is_ill(deployment: Deployed) -> None:
    launches = [running(deployment) for _ in range(PLACES)]
    for session in deployment.ports.sessions.running.values():
        session.answers = False
    deployment.ports.time.advance(120)
    deployment.call("CullSessions", {})
    deployment.call("Reconcile", {})
    assert "bindery_sweeps_in_doubt" in deployment.web("ServePages", "GET", "/metrics")["body"]
    assert not any(has_stopped(deployment, launch) for launch in launches)


@story
def messages_are_lost(deployment: Deployed) -> None:
    launch, _ = created(deployment)
    for stage in (Stage.RESOLVING, Stage.BUILDING):
        assert deployment.launch(launch).stage is stage
        lost(deployment, 61)
        deployment.call("Reconcile", {})
        deployment.deliver(deployment.waiting.pop())
    deployment.ports.service.finish(the_build(deployment))
    deployment.deliver_event()
    lost(deployment, 61)
    deployment.call("Reconcile", {})
    deployment.settle()
    deployment.call("Reconcile", {})
    assert deployment.launch(launch).stage is Stage.READY
    assert "binderhub_launch_count" in deployment.web("ServePages", "GET", "/metrics")["body"]


@story
def events_are_lost(deployment: Deployed) -> None:
    launches = [building(deployment), created(deployment)[0]]
    deployment.settle()
    deployment.ports.service.finish(the_build(deployment))
    lost(deployment, 61)
    deployment.call("Reconcile", {})
    deployment.settle()
    assert {deployment.launch(launch).stage for launch in launches} == {Stage.READY}


@story
def a_build_is_forgotten_and_nobody_hears(deployment: Deployed) -> None:
    launch = building(deployment)
    deployment.settle()
    deployment.ports.service.reports.clear()
    lost(deployment, 61)
    deployment.call("Reconcile", {})
    deployment.settle()
    assert deployment.launch(launch).attempt == 2


@story
def a_launch_takes_too_long(deployment: Deployed) -> None:
    launch = building_with_a_session(deployment)
    deployment.ports.time.advance(86400)
    deployment.call("Reconcile", {})
    assert reason(deployment, launch) == "DeadlinePassed"
    assert deployment.waiting[-1].queue == "stops"


@story
def sessions_and_records_are_compared(deployment: Deployed) -> None:
    died, healthy, unknown = (running(deployment) for _ in range(3))
    deployment.ports.time.advance(3600)
    deployment.ports.sessions.die(died)
    deployment.system.state.sessions.mark_stopping(unknown, "by hand")
    deployment.system.state.sessions.mark_ended(unknown)
    for _ in range(2):
        deployment.call("Reconcile", {})
        deployment.settle()
    assert list(deployment.ports.sessions.running) == [healthy]


@story
def places_are_counted_again(deployment: Deployed) -> None:
    running(deployment)
    (item,) = deployment.system.state.quotas.counters()
    deployment.ports.table.put(replace(item, data={"taken": 3}))
    for _ in range(2):
        deployment.call("Reconcile", {})
        deployment.ports.time.advance(60)
    assert deployment.system.state.quotas.taken() == 1


@story
def an_image_is_launched_no_more(deployment: Deployed) -> None:
    launch = running(deployment)
    deployment.system.state.sessions.mark_stopping(launch, "by hand")
    deployment.system.state.sessions.mark_ended(launch)
    deployment.ports.time.advance(40 * 86400)
    deployment.call("Reconcile", {})
    assert deployment.ports.service.images == set()


@story
def a_build_never_ends(deployment: Deployed) -> None:
    launch = building(deployment)
    deployment.settle()
    lost(deployment, deployment.system.settings.build_seconds + 300)
    deployment.call("Reconcile", {})
    deployment.settle()
    assert reason(deployment, launch) == "BuildFailed"
