"""The text that Prometheus reads, checked by Prometheus' own parser."""

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bindery.state.counters import Counters, Labels
from bindery.web.pages.metrics import exposition
from tests.fakes.clock import FakeClock
from tests.fakes.table import DictTable

Sums = dict[str, dict[Labels, float]]


def samples(text: str) -> dict[tuple[str, Labels], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counters_have_the_names_of_binderhub() -> None:
    registry = CollectorRegistry()
    counter = Counter("binderhub_launch_count", "Launches that ended", ["provider", "status"], registry=registry)
    counter.labels("gh", "success").inc(3)
    expected = [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]
    exposed = exposition({"binderhub_launch_count": {(("status", "success"), ("provider", "gh")): 3}}, {})
    assert exposed.splitlines() == expected


def test_buckets_become_cumulative() -> None:
    success, failure = ("status", "success"), ("status", "failure")
    sums: Sums = {
        "t_seconds_bucket": {
            (("le", "10"), success): 4,
            (("le", "2"), success): 1,
            (("le", "+Inf"), success): 2,
            (("le", "2"), failure): 5,
        },
        "t_seconds_sum": {(success,): 61.5, (failure,): 3},
    }
    read = samples(exposition(sums, {}))
    assert [read["t_seconds_bucket", (("le", le), success)] for le in ("2.0", "10.0", "+Inf")] == [1, 5, 7]
    assert [read["t_seconds_bucket", (("le", le), failure)] for le in ("2.0", "10.0", "+Inf")] == [5, 5, 5]
    assert (read["t_seconds_count", (success,)], read["t_seconds_sum", (success,)]) == (7, 61.5)
    assert not any(name.startswith("t_seconds_bucket_total") for name, _ in read)


def test_counted_values_are_exposed() -> None:
    counters = Counters(DictTable(), FakeClock())
    for seconds in (0.5, 3, 3, 700):
        counters.observe("t_seconds", seconds, (1, 5, 600), status="success", retries="0")
    counters.add("n", repo="https://example.org/?a=b=c", status="success")
    read = samples(exposition(counters.read(), {"now": 2}))
    labels = (("retries", "0"), ("status", "success"))
    counts = [read["t_seconds_bucket", (("le", le), *labels)] for le in ("1.0", "5.0", "+Inf")]
    assert counts == [1, 3, 4]
    assert read["t_seconds_sum", labels] == 706.5
    assert read["n_total", (("repo", "https://example.org/?a=b=c"), ("status", "success"))] == 1
    assert read["now", ()] == 2


def test_equal_state_gives_equal_text() -> None:
    labels: list[Labels] = [(("a", "1"), ("b", "2")), (("a", "2"), ("b", "1"))]
    sums: Sums = {"x": {labels[0]: 1, labels[1]: 2}, "y_bucket": {(("le", "1"),): 1}, "y_sum": {(): 1}}
    turned: Sums = {
        "y_sum": {(): 1},
        "y_bucket": {(("le", "1"),): 1},
        "x": {tuple(reversed(labels[1])): 2, tuple(reversed(labels[0])): 1},
    }
    assert exposition(sums, {"g": 1, "f": 2}) == exposition(turned, {"f": 2, "g": 1})


@pytest.mark.parametrize("value", ['say "hi"', "two\nlines", "back\\slash", "\\n", "a=b", "é \u2028", "{}", 'x",le="1'])
def test_unusual_label_values_are_preserved(value: str) -> None:
    read = samples(exposition({"n": {(("repo", value),): 1}}, {}))
    assert read == {("n_total", (("repo", value),)): 1}


def test_unencodable_values_are_merged() -> None:
    values: dict[Labels, float] = {(("repo", f"x{chr(lone)}"),): count for lone, count in ((0xDCFF, 1), (0xD800, 2))}
    read = samples(exposition({"n": values}, {}))
    assert read == {("n_total", (("repo", "x\ufffd"),)): 3}


def test_invalid_labels_and_buckets_do_not_affect_others() -> None:
    sums: Sums = {"n": {(("", "x"), ("a b", "y"), ("ok", "1")): 1}, "t_bucket": {(("le", "many"),): 1, (): 1}}
    read = samples(exposition(sums, {}))
    assert read == {("n_total", (("ok", "1"),)): 1}


def test_without_counts_only_gauges_are_exposed() -> None:
    assert exposition({}, {}) == ""
    assert samples(exposition({}, {"binderhub_inprogress_launches": 0})) == {("binderhub_inprogress_launches", ()): 0}
