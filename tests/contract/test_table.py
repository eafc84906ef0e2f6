"""The table port's sentences on get, put, delete and transact, on every table."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from bindery.domain.errors import Stale
from bindery.ports.table import Delete, Item, Table
from tests.fakes.table import read

NOW = 1_790_000_000.25

# moto reads and writes without a lock in between, so two threads may both win there: races run on the real tables.
racing = pytest.mark.parametrize(
    "table", ["dictionary", "sqlite file", "sqlite in memory", "dynamodb local"], indirect=True
)


# get and put


def test_an_item_that_was_never_put_is_none(table: Table) -> None:
    table.put(Item("launch#1", "state"))
    assert table.get("launch#1", "log") is None
    assert table.get("launch#2", "state") is None


def test_an_item_reads_back_exactly_as_it_was_put(table: Table) -> None:
    put = table.put(Item("launch#1", "state", {"phase": "waiting"}, 0, "shard#3", NOW, NOW + 0.125))
    assert put.version != 0
    assert table.get("launch#1", "state") == put


def test_an_item_without_times_reads_back_without_them(table: Table) -> None:
    table.put(table.put(Item("launch#1", "state", {}, 0, "shard#3", NOW, NOW)))
    stored = read(table, "launch#1", "state")
    table.put(Item("launch#1", "state", {"phase": "done"}, stored.version))
    stored = read(table, "launch#1", "state")
    assert (stored.due_shard, stored.due_at, stored.expires_at) == (None, None, None)


def test_get_all_returns_the_items_that_exist(table: Table) -> None:
    keys = [(f"launch#{number}", "launch") for number in range(100)]
    written = [table.put(Item(pk, sk, {"n": pk}, 0, "shard", 1.5, 2.5)) for pk, sk in keys[::3]]
    items = table.get_all(keys)
    assert sorted(items, key=lambda item: item.pk) == sorted(written, key=lambda item: item.pk)
    assert table.get_all([]) == []
    assert table.get_all([("absent", "absent")]) == []


def test_get_all_returns_items_larger_than_one_response(table: Table) -> None:
    keys = [(f"large#{number}", "x") for number in range(70)]
    for pk, sk in keys:
        table.put(Item(pk, sk, {"text": "x" * 300_000}))
    assert sorted(item.pk for item in table.get_all(keys)) == sorted(pk for pk, _ in keys)


@pytest.mark.parametrize("keys", [[("a", "b")] * 2, [(f"{n}", "x") for n in range(101)], [("", "x")], [("x", "")]])
def test_invalid_sets_of_keys_are_refused(table: Table, keys: list[tuple[str, str]]) -> None:
    with pytest.raises(ValueError, match=r"items are read together|keys have"):
        table.get_all(keys)


def test_a_put_with_the_current_version_replaces_the_item(table: Table) -> None:
    first = table.put(Item("launch#1", "state", {"phase": "waiting", "old": True}))
    second = table.put(first.with_data({"phase": "building"}))
    assert second.version != first.version
    assert table.get("launch#1", "state") == second


def test_a_put_with_an_old_version_changes_nothing(table: Table) -> None:
    first = table.put(Item("launch#1", "state", {"phase": "waiting"}))
    table.put(first.with_data({"phase": "building"}))
    with pytest.raises(Stale):
        table.put(first.with_data({"phase": "failed"}))
    assert read(table, "launch#1", "state").data == {"phase": "building"}


def test_a_new_item_does_not_replace_an_existing_one(table: Table) -> None:
    table.put(Item("launch#1", "state", {"mine": True}))
    with pytest.raises(Stale):
        table.put(Item("launch#1", "state", {"mine": False}))
    assert read(table, "launch#1", "state").data == {"mine": True}


def test_a_put_of_a_deleted_item_is_stale(table: Table) -> None:
    first = table.put(Item("launch#1", "state"))
    table.delete(first)
    with pytest.raises(Stale):
        table.put(first)
    assert table.get("launch#1", "state") is None


def test_an_item_created_again_has_another_version(table: Table) -> None:
    first = table.put(Item("slot#1", "claim", {"by": "one"}))
    table.delete(first)
    table.put(Item("slot#1", "claim", {"by": "two"}))
    with pytest.raises(Stale):
        table.delete(first)
    with pytest.raises(Stale):
        table.put(first)
    assert read(table, "slot#1", "claim").data == {"by": "two"}


def test_an_expired_item_is_unchanged_or_gone(table: Table) -> None:
    put = table.put(Item("launch#1", "state", {"phase": "ready"}, expires_at=1_000.0))
    assert table.get("launch#1", "state") in (put, None)


# delete


def test_a_deleted_item_is_gone(table: Table) -> None:
    table.delete(table.put(Item("launch#1", "state")))
    assert table.get("launch#1", "state") is None
    assert table.query("launch#1") == []


def test_deleting_an_absent_item_is_no_error(table: Table) -> None:
    item = table.put(Item("launch#1", "state"))
    table.delete(item)
    table.delete(item)
    table.delete(Item("launch#2", "state"))


def test_a_delete_with_an_old_version_removes_nothing(table: Table) -> None:
    first = table.put(Item("launch#1", "state"))
    second = table.put(first.with_data({"phase": "building"}))
    with pytest.raises(Stale):
        table.delete(first)
    with pytest.raises(Stale):
        table.delete(Item("launch#1", "state"))
    assert table.get("launch#1", "state") == second


# transact


def test_a_transaction_writes_and_removes_all_of_its_items(table: Table) -> None:
    session = table.put(Item("session#1", "state", {"is": "starting"}))
    gone = table.put(Item("waiter#1", "a"))
    table.transact([session.with_data({"is": "running"}), Item("counter", "3", {"count": 1}), Delete(gone)])
    assert read(table, "session#1", "state").data == {"is": "running"}
    assert read(table, "session#1", "state").version not in (0, session.version)
    assert read(table, "counter", "3").data == {"count": 1}
    assert table.get("waiter#1", "a") is None


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_transaction_with_one_stale_item_writes_nothing(table: Table, place: int) -> None:
    stale = table.put(Item("stale", "item", {"old": True}))
    table.put(stale.with_data({"old": False}))
    existing = table.put(Item("kept", "item"))
    changes: list[Item | Delete] = [Item("new", "item"), Delete(existing)]
    changes.insert(place, stale.with_data({"old": "changed"}))
    with pytest.raises(Stale):
        table.transact(changes)
    assert table.get("new", "item") is None
    assert table.get("kept", "item") == existing
    assert read(table, "stale", "item").data == {"old": False}


def test_a_transaction_with_a_stale_delete_writes_nothing(table: Table) -> None:
    first = table.put(Item("slot#1", "claim"))
    second = table.put(first.with_data({"by": "another"}))
    with pytest.raises(Stale):
        table.transact([Item("new", "item"), Delete(first)])
    assert table.get("new", "item") is None
    assert table.get("slot#1", "claim") == second


def test_a_transaction_that_deletes_a_deleted_item_is_stale(table: Table) -> None:
    item = table.put(Item("slot#1", "claim"))
    table.delete(item)
    with pytest.raises(Stale):
        table.transact([Item("counter", "3", {"count": 0}), Delete(item)])
    assert table.get("counter", "3") is None


def test_a_transaction_that_deletes_an_absent_item_requires_its_absence(table: Table) -> None:
    table.transact([Item("new", "item"), Delete(Item("slot#1", "claim"))])
    table.put(Item("slot#1", "claim"))
    with pytest.raises(Stale):
        table.transact([Item("newer", "item"), Delete(Item("slot#1", "claim"))])
    assert table.get("new", "item") is not None
    assert table.get("newer", "item") is None
    assert table.get("slot#1", "claim") is not None


def test_a_transaction_takes_a_hundred_changes(table: Table) -> None:
    table.transact([Item("batch", f"{number:03}", {"number": number}) for number in range(100)])
    assert [item.data["number"] for item in table.query("batch", limit=200)] == list(range(100))
    table.transact([Delete(item) for item in table.query("batch")])
    assert table.query("batch") == []


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param([], id="none"),
        pytest.param([Item("batch", str(number)) for number in range(101)], id="101"),
        pytest.param([Item("batch", "1"), Delete(Item("batch", "1"))], id="one key twice"),
        pytest.param([Item("batch", str(number), {"x": "y" * 300_000}) for number in range(14)], id="over 4 MB"),
    ],
)
def test_a_transaction_of_an_invalid_size_is_refused_before_any_write(
    table: Table, changes: list[Item | Delete]
) -> None:
    with pytest.raises(ValueError, match="a transaction has"):
        table.transact(changes)
    assert table.query("batch") == []


# many calls at once


@racing
def test_exactly_one_of_many_concurrent_claims_succeeds(table: Table) -> None:
    barrier = threading.Barrier(8)

    def claim(claimant: int) -> bool:
        barrier.wait()
        try:
            table.put(Item(f"environment#{round_}", "claim", {"by": claimant}))
        except Stale:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        for round_ in range(10):
            won = [claimant for claimant, wins in enumerate(threads.map(claim, range(8))) if wins]
            assert won == [read(table, f"environment#{round_}", "claim").data["by"]]


@racing
def test_concurrent_increments_lose_no_count(table: Table) -> None:
    table.put(Item("counter", "0", {"count": 0}))

    def increment(_: int) -> None:
        while True:
            item = read(table, "counter", "0")
            try:
                table.put(item.with_data({"count": item.data["count"] + 1}))
            except Stale:
                continue
            return

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(increment, range(40)))
    assert read(table, "counter", "0").data == {"count": 40}
