"""The table port's sentences on query and due, on every table."""

from collections.abc import Sequence

import pytest

from bindery.ports.table import Item, Table

NOW = 1_790_000_000.25
STRANGE = ["a%", "a%b", "a_", "a_b", "a#1", "a/b", "a\\", "a'", 'a"', "aé", "aÿ", "a漢", "a🦉", "a\U0010ffff", "ab"]


def sks(items: Sequence[Item]) -> list[str]:
    return [item.sk for item in items]


# query


def test_a_query_returns_items_in_the_order_of_code_points(table: Table) -> None:
    for sk in STRANGE:
        table.put(Item("keys", sk))
    assert sks(table.query("keys")) == sorted(STRANGE)


def test_a_query_returns_whole_items_of_one_pk_only(table: Table) -> None:
    own_log = table.put(Item("launch#1", "log#1", {"line": "one"}, 0, "shard", NOW, NOW))
    table.put(Item("launch#10", "log#1"))
    table.put(Item("launch", "log#1"))
    assert table.query("launch#1") == [own_log]
    assert table.query("launch#2") == []


@pytest.mark.parametrize("prefix", ["", "a", *STRANGE, "b"])
def test_a_prefix_is_matched_literally(table: Table, prefix: str) -> None:
    for sk in [*STRANGE, "A%", "b#"]:
        table.put(Item("keys", sk))
    expected = sorted(sk for sk in [*STRANGE, "A%", "b#"] if sk.startswith(prefix))
    assert sks(table.query("keys", prefix)) == expected


@pytest.mark.parametrize("prefix", ["", "log#", "log#2", "zzz"])
@pytest.mark.parametrize("after", ["", "a", "log#", "log#1", "log#15", "log#2", "log#3", "log$", "zzzz"])
def test_a_query_returns_only_keys_after_the_given_one(table: Table, prefix: str, after: str) -> None:
    stored = ["a", "log#1", "log#2", "log#20", "log#3", "zzz"]
    for sk in stored:
        table.put(Item("keys", sk))
    expected = [sk for sk in stored if sk.startswith(prefix) and sk > after]
    assert sks(table.query("keys", prefix, after)) == expected
    assert sks(table.query("keys", prefix, after, limit=1)) == expected[:1]


def test_a_query_returns_at_most_its_limit_and_can_be_continued(table: Table) -> None:
    for number in range(7):
        table.put(Item("log", f"line#{number}"))
    sort_keys: list[str] = []
    while page := table.query("log", "line#", after=sort_keys[-1] if sort_keys else "", limit=3):
        assert len(page) <= 3
        sort_keys += sks(page)
    assert sort_keys == [f"line#{number}" for number in range(7)]


def test_a_query_returns_several_megabytes_completely(table: Table) -> None:
    for number in range(8):
        table.put(Item("log", f"{number}", {"lines": str(number) * 299_000}))
    assert [len(item.data["lines"]) for item in table.query("log")] == [299_000] * 8


# due


def test_due_returns_whole_items_oldest_first(table: Table) -> None:
    late = table.put(Item("a", "late", {"n": 1}, 0, "shard#0", NOW - 1, NOW + 60))
    oldest = table.put(Item("c", "oldest", {"n": 2}, 0, "shard#0", NOW - 1000))
    middle = table.put(Item("b", "middle", {"n": 3}, 0, "shard#0", NOW - 10.5))
    assert table.due("shard#0", NOW) == [oldest, middle, late]


def test_due_returns_items_due_now_or_earlier(table: Table) -> None:
    table.put(Item("a", "now", {}, 0, "shard#0", NOW))
    table.put(Item("a", "soon", {}, 0, "shard#0", NOW + 0.001))
    assert sks(table.due("shard#0", NOW)) == ["now"]


def test_due_returns_one_shard_only_and_no_items_without_a_due_time(table: Table) -> None:
    table.put(Item("a", "mine", {}, 0, "shard#1", NOW))
    table.put(Item("a", "other", {}, 0, "shard#10", NOW))
    table.put(Item("a", "never"))
    assert sks(table.due("shard#1", NOW)) == ["mine"]
    assert table.due("shard#2", NOW) == []


def test_due_returns_at_most_its_limit_of_the_oldest(table: Table) -> None:
    for number in (4, 2, 0, 3, 1):
        table.put(Item("a", str(number), {}, 0, "shard#0", NOW + number))
    assert sks(table.due("shard#0", NOW + 10, limit=2)) == ["0", "1"]


def test_a_postponed_or_finished_item_is_no_longer_due(table: Table) -> None:
    put_off = table.put(Item("a", "put off", {}, 0, "shard#0", NOW))
    done = table.put(Item("a", "done", {}, 0, "shard#0", NOW))
    moved = table.put(Item("a", "moved", {}, 0, "shard#0", NOW))
    removed = table.put(Item("a", "removed", {}, 0, "shard#0", NOW))
    table.put(Item("a", "put off", {}, put_off.version, "shard#0", NOW + 60))
    table.put(Item("a", "done", {}, done.version))
    table.put(Item("a", "moved", {}, moved.version, "shard#1", NOW))
    table.delete(removed)
    assert table.due("shard#0", NOW) == []
    assert sks(table.due("shard#1", NOW)) == ["moved"]


def test_due_returns_many_and_large_items(table: Table) -> None:
    for number in range(60):
        table.put(Item(f"large#{number}", "item", {"x": "y" * 299_000}, 0, "shard#0", NOW - number))
    table.transact([Item("small", f"{number}", {}, 0, "shard#0", NOW + 1) for number in range(100)])
    due = table.due("shard#0", NOW + 2, limit=150)
    assert [item.pk for item in due] == [f"large#{number}" for number in reversed(range(60))] + ["small"] * 90
