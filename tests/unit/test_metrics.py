"""The page /metrics: the repositories that it names, its cost, and the clients that may read it."""

import json

import pytest
from pydantic import ValidationError

from bindery.domain.errors import MetricsClosed, MetricsNotReady
from bindery.domain.launch import Launch
from bindery.settings import Settings
from bindery.state.popular import CANDIDATES, OTHER, SHOWN, Day, Popular
from bindery.usecases.steps.count_launches import counts_of
from tests.fakes.clock import FakeClock
from tests.fakes.in_memory_system import InMemorySystem
from tests.fakes.table import DictTable

OPERATOR = "192.0.2.1"
STRANGER = "203.0.113.9"
TOKEN = "a metrics token!".replace(" ", "-")
ITEM_LIMIT = 300_000


def count(day: Day, repository: str, times: int = 1) -> list[bool]:
    return [day.count(repository, "launches", status="success") for _ in range(times)]


def today(table: DictTable, clock: FakeClock) -> Day:
    return Popular(table, clock).today()


def shown_repositories(day: Day) -> set[str]:
    return {dict(labels)["repo"] for rows in day.sums().values() for labels in rows}


def readable(**settings: object) -> InMemorySystem:
    """Return a system that lets the operator's address read /metrics."""
    return InMemorySystem(isolated=True, metrics_networks=f"{OPERATOR}/32", **settings)


def test_the_most_launched_repositories_are_named_despite_other_launches() -> None:
    day = today(DictTable(), FakeClock())
    popular = [f"https://host.example/popular/{number}" for number in range(SHOWN)]
    for turn in range(60):
        for name in popular:
            count(day, name)
        for number in range(40):
            count(day, f"https://evil.example/{turn}/{number}")
    assert shown_repositories(day) == set(popular)


@pytest.mark.parametrize("name", ["https://evil.example/{}", "https://evil.example/{}/" + "é" * 4000])
def test_invented_repository_names_do_not_enlarge_the_item(name: str) -> None:
    table, clock = DictTable(), FakeClock()
    for number in range(3000):
        day = today(table, clock)
        count(day, name.format(number))
        table.put(day.item)
    day = today(table, clock)
    assert len(day.candidates) <= CANDIDATES
    assert len(day.item.data["rows"]) <= SHOWN
    assert len(json.dumps(day.item.data)) < ITEM_LIMIT
    assert len(table.items()) == 1


def test_each_launch_is_counted_in_one_row_at_most() -> None:
    day = today(DictTable(), FakeClock())
    counted = [day.count(f"r{number % 7}", "launches", status="success") for number in range(100)]
    (rows,) = day.sums().values()
    assert sum(rows.values()) == sum(counted) == 100


def test_counts_by_repository_start_again_each_day_and_their_item_expires() -> None:
    table, clock = DictTable(), FakeClock()
    day = today(table, clock)
    count(day, "r", 3)
    table.put(day.item)
    assert day.item.expires_at is not None
    assert day.item.expires_at - clock.now() == 2 * 86400
    clock.advance(86400)
    assert today(table, clock).sums() == {}


def text_of(system: InMemorySystem) -> str:
    system.bindery.reconcile()
    return system.bindery.site.metrics(OPERATOR, "")


def test_launches_of_private_repositories_are_counted_without_their_name() -> None:
    system = readable()
    system.host.heads["o/secret"] = system.host.heads["o/r"]
    system.host.private = frozenset({"o/secret"})
    system.ready("o/secret/HEAD")
    system.ready()
    system.bindery.stop_launch(system.open().id)  # failed before its repository was known
    text = text_of(system)
    assert "secret" not in text
    assert 'repo="https://host.example/o/r"' in text
    assert 'binderhub_launch_count_total{provider="gh",repo="other",status="success"} 1.0' in text
    assert 'binderhub_launch_count_total{provider="gh",repo="other",status="failure"} 1.0' in text


def test_no_counter_key_contains_a_repository() -> None:
    launch = Launch(
        id="a", provider="gh", spec="o/r/HEAD", repo_url="https://host.example/o/r", owner="", launch_host="",
        created_at=0, deadline=9,
    )  # fmt: skip
    keys = [key for key, _ in counts_of(launch)]
    assert not [key for key in keys if "host.example" in key]
    assert [key for key in keys if f"repo={OTHER}" in key]


def test_a_request_for_metrics_reads_one_item() -> None:
    system = readable()
    system.ready()
    system.bindery.reconcile()
    calls: list[str] = []
    system.table.before = lambda operation, keys: calls.append(operation)
    assert system.bindery.site.metrics(OPERATOR, "")
    assert calls == ["get"]


def test_an_outdated_metrics_text_is_not_shown() -> None:
    system = readable()
    with pytest.raises(MetricsNotReady):
        system.bindery.site.metrics(OPERATOR, "")
    assert text_of(system)
    system.clock.advance(901)
    with pytest.raises(MetricsNotReady):
        system.bindery.site.metrics(OPERATOR, "")


def test_metrics_are_rendered_only_if_they_can_be_requested() -> None:
    closed = InMemorySystem()
    closed.bindery.reconcile()
    assert closed.bindery.metrics_text.get() is None


@pytest.mark.parametrize(
    ("settings", "client", "authorization", "opens"),
    [
        ({}, "127.0.0.1", "", False),
        ({}, STRANGER, "Bearer ", False),
        ({}, STRANGER, f"Bearer {TOKEN}", False),
        ({"metrics_token": TOKEN}, "127.0.0.1", "", False),
        ({"metrics_token": TOKEN}, STRANGER, f"Bearer {TOKEN}", True),
        ({"metrics_token": TOKEN}, STRANGER, f"bearer  {TOKEN}", True),
        ({"metrics_token": TOKEN}, STRANGER, f"Basic {TOKEN}", False),
        ({"metrics_token": TOKEN}, STRANGER, f"Bearer {TOKEN}x", False),
        ({"metrics_token": TOKEN}, STRANGER, "Bearer \ud800é", False),
        ({"metrics_networks": "192.0.2.0/24"}, OPERATOR, "", True),
        ({"metrics_networks": "192.0.2.0/24"}, "::ffff:192.0.2.1", "", True),
        ({"metrics_networks": "192.0.2.0/24"}, STRANGER, "", False),
        ({"metrics_networks": "192.0.2.0/24"}, "unknown", "", False),
        ({"isolated": False}, "127.0.0.1", "", True),
    ],
)
def test_only_the_operator_may_read_metrics(
    settings: dict[str, object], client: str, authorization: str, opens: bool
) -> None:
    isolated = bool(settings.get("isolated", True))
    system = InMemorySystem(
        isolated=isolated, **{name: value for name, value in settings.items() if name != "isolated"}
    )
    system.bindery.render_metrics()
    if opens:
        assert system.bindery.site.metrics(client, authorization)
    else:
        with pytest.raises(MetricsClosed):
            system.bindery.site.metrics(client, authorization)


@pytest.mark.parametrize("token", ["short", "with a space in the middle", "é" * 20])
def test_a_short_or_unsendable_metrics_token_is_refused_at_the_start(token: str) -> None:
    with pytest.raises(ValidationError):
        Settings.read({"BINDERY_METRICS_TOKEN": token})
