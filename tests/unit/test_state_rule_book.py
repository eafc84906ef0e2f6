"""Rules in the table: when they apply, when they end, and how they are read while the table is throttled."""

import pytest
from pydantic import ValidationError

from bindery.domain.access_policy import Rules, SpecRule
from bindery.domain.errors import ClientBanned, SpecBanned, Throttled
from bindery.ports.table import Item, Table
from bindery.state import rule_book
from bindery.state.rule_book import FRESH_SECONDS, Entry, Kind, RuleBook, RuleBookFull
from tests.fakes.clock import FakeClock
from tests.fakes.table import DictTable


@pytest.fixture
def book(table: Table, clock: FakeClock) -> RuleBook:
    return RuleBook(table, clock, Rules(total=200, per_repository=100))


def entry(book: RuleBook, kind: Kind, value: str, lasts: float | None = None, quota: int | None = None) -> Entry:
    now = book.clock.now()
    return Entry(kind=kind, value=value, quota=quota, created_at=now, expires_at=now + lasts if lasts else None)


def another_process(book: RuleBook) -> RuleBook:
    return RuleBook(book.table, book.clock, book.base)


def is_served(book: RuleBook, name: str) -> bool:
    try:
        book.rules().check_spec("a link", name)
    except SpecBanned:
        return False
    return True


def test_a_rule_applies_in_other_processes_within_the_promised_time(book: RuleBook, clock: FakeClock) -> None:
    reader = another_process(book)
    assert is_served(reader, "gh/evil/r/HEAD")
    book.add(entry(book, Kind.BAN, "^gh/evil/"))
    clock.advance(FRESH_SECONDS)
    assert not is_served(reader, "gh/evil/r/HEAD")
    assert book.remove(entry(book, Kind.BAN, "^gh/evil/").id)
    clock.advance(FRESH_SECONDS)
    assert is_served(reader, "gh/evil/r/HEAD")


def test_a_ban_expires(book: RuleBook, clock: FakeClock) -> None:
    book.add(entry(book, Kind.BAN, "^gh/evil/", lasts=FRESH_SECONDS / 2))
    assert not is_served(book, "gh/evil/r/HEAD")
    clock.advance(FRESH_SECONDS / 2)
    assert is_served(book, "gh/evil/r/HEAD"), "judged by its time, not by when it is read again"


def test_an_expired_allow_list_still_closes_the_instance(book: RuleBook, clock: FakeClock) -> None:
    book.add(entry(book, Kind.ALLOW, "^gh/guest/", lasts=60))
    assert is_served(book, "gh/guest/r/HEAD")
    assert not is_served(book, "gh/o/r/HEAD")
    clock.advance(10 * 86400)
    assert not is_served(another_process(book), "gh/guest/r/HEAD")
    assert not is_served(another_process(book), "gh/o/r/HEAD")


def test_networks_and_quotas_are_added_to_those_of_the_settings(table: Table, clock: FakeClock) -> None:
    base = Rules(banned_networks=("192.0.2.0/24",), spec_rules=(SpecRule("^gh/o/", 1),))
    book = RuleBook(table, clock, base)
    book.add(entry(book, Kind.BAN_NETWORK, "203.0.113.0/24"))
    book.add(entry(book, Kind.QUOTA, "^gh/o/", quota=7))
    clock.advance(1)
    book.add(entry(book, Kind.QUOTA, "^gh/o/r/", quota=9))
    for client in ("192.0.2.1", "203.0.113.1"):
        with pytest.raises(ClientBanned):
            book.rules().check_client(client)
    assert book.rules().limits("gh/o/r/HEAD").per_repository == 9, "the newest goes first"
    assert book.rules().limits("gh/o/x/HEAD").per_repository == 7


def test_adding_a_rule_again_extends_it(book: RuleBook, clock: FakeClock) -> None:
    book.add(entry(book, Kind.BAN, "^gh/evil/", lasts=60))
    clock.advance(30)
    book.add(entry(book, Kind.BAN, "^gh/evil/", lasts=60))
    (only,) = book.entries()
    assert only.expires_at == clock.now() + 60


@pytest.mark.parametrize(
    ("kind", "value", "quota"),
    [
        (Kind.BAN, "evil/", None),
        (Kind.BAN_NETWORK, "not a network", None),
        (Kind.QUOTA, "^gh/o/", None),
        (Kind.BAN, "^gh/o/", 3),
        (Kind.QUOTA, "^gh/o/", -1),
    ],
)
def test_an_invalid_rule_is_refused(book: RuleBook, kind: Kind, value: str, quota: int | None) -> None:
    with pytest.raises(ValidationError):
        entry(book, kind, value, quota=quota)


def test_the_number_of_rules_is_limited(book: RuleBook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rule_book, "MOST_ENTRIES", 2)
    book.add(entry(book, Kind.BAN, "^gh/a/"))
    book.add(entry(book, Kind.BAN, "^gh/b/"))
    book.add(entry(book, Kind.BAN, "^gh/b/"))
    with pytest.raises(RuleBookFull):
        book.add(entry(book, Kind.BAN, "^gh/c/"))


class CountingTable(DictTable):
    """A table that counts its queries and can be throttled by a test."""

    queries = 0
    throttled = False

    def query(self, pk: str, prefix: str = "", after: str = "", limit: int = 100) -> list[Item]:
        self.queries += 1
        if self.throttled:
            raise Throttled
        return super().query(pk, prefix, after, limit)


def test_rules_are_read_once_for_all_requests_of_a_process(clock: FakeClock) -> None:
    table = CountingTable()
    book = RuleBook(table, clock, Rules())
    for _ in range(100):
        book.rules()
    assert table.queries == 1


def test_the_last_known_rules_apply_while_the_table_is_throttled(clock: FakeClock) -> None:
    table = CountingTable()
    book = RuleBook(table, clock, Rules())
    book.add(entry(book, Kind.BAN, "^gh/evil/"))
    assert not is_served(book, "gh/evil/r/HEAD")
    table.throttled = True
    clock.advance(FRESH_SECONDS)
    assert not is_served(book, "gh/evil/r/HEAD")
    with pytest.raises(Throttled):
        another_process(book).rules()
