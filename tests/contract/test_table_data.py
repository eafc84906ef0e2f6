"""The table port's sentences on the content of an item, on every table."""

import json
from collections.abc import Callable

import pytest

from bindery.ports.table import Item, Table
from tests.fakes.table import read

NOW = 1_790_000_000.25


# data and keys


@pytest.mark.parametrize(
    "value",
    [
        2**53 + 1,
        -(2**70),
        0.1 + 0.2,
        1e300,
        5e-324,
        1.0,
        True,
        None,
        "",
        "naïve 漢 🦉",
        "e\u0301 is not \u00e9",
        "before\x00after",
        "\x1b[31m\r\n\t\x7f\u2028\ufffe\uffff",
        "half a pair: \ud83e",
        [],
        {},
        [[{"": [None, {"a": [0.5, -0.0]}]}]],
        {"pk": 1, "version": "mine", "$x": {"S": "not an attribute"}},
    ],
    ids=lambda value: json.dumps(value)[:40],
)
def test_data_is_read_back_exactly(table: Table, value: object) -> None:
    table.put(Item("data", "item", {"value": value}))
    back = read(table, "data", "item").data
    assert back == {"value": value}
    assert json.dumps(back) == json.dumps({"value": value})  # 1.0 stays 1.0, true stays true


def test_later_changes_of_the_data_do_not_change_the_stored_item(table: Table) -> None:
    data = {"events": ["waiting"]}
    table.put(Item("launch#1", "state", data))
    data["events"].append("later")
    first = read(table, "launch#1", "state")
    first.data["events"].append("later still")
    assert read(table, "launch#1", "state").data == {"events": ["waiting"]}


@pytest.mark.parametrize("fill", ["x", "漢", "\n"])
def test_an_item_of_300_kb_is_stored(table: Table, fill: str) -> None:
    text = fill * (300_000 // len(json.dumps(fill, ensure_ascii=False)[1:-1].encode()))
    table.put(Item("data", "large", {"text": text}))
    assert read(table, "data", "large").data == {"text": text}


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(Item("", "item"), id="empty pk"),
        pytest.param(Item("bad", ""), id="empty sk"),
        pytest.param(Item("bad", "k" * 1025), id="long sk"),
        pytest.param(Item("p" * 2049, "item"), id="long pk"),
        pytest.param(Item("bad", "\ud800"), id="sk of half a pair"),
        pytest.param(Item("bad", "item", {"x": "y" * 310_000}), id="too large"),
        pytest.param(Item("bad", "item", {"x": float("nan")}), id="not a number"),
        pytest.param(Item("bad", "item", {}, 0, "shard"), id="shard without time"),
        pytest.param(Item("bad", "item", {}, 0, None, NOW), id="time without shard"),
        pytest.param(Item("bad", "item", {}, 0, "", NOW), id="empty shard"),
        pytest.param(Item("bad", "item", {}, 0, "shard", float("inf")), id="due never"),
        pytest.param(Item("bad", "item", {}, 0, None, None, float("inf")), id="expires never"),
    ],
)
def test_an_invalid_item_is_refused_and_nothing_is_written(table: Table, item: Item) -> None:
    def together(item: Item) -> None:
        table.transact([Item("bad", "companion"), item])

    for write in (table.put, together):
        with pytest.raises(ValueError):
            write(item)
    assert table.query("bad") == []


def test_invalid_queries_are_refused(table: Table) -> None:
    questions: list[Callable[[], object]] = [
        lambda: table.get("", "item"),
        lambda: table.get("item", ""),
        lambda: table.query(""),
        lambda: table.query("item", limit=0),
        lambda: table.due("shard", NOW, limit=0),
    ]
    for question in questions:
        with pytest.raises(ValueError, match=r"keys have|limit must"):
            question()
