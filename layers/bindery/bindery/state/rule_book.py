"""Rules that the operator stores in the table. They take effect within seconds, and each may have an end."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import ip_network

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bindery.domain.access_policy import Rules, SpecRule
from bindery.domain.errors import Stale, Throttled
from bindery.domain.rule_pattern import check_pattern
from bindery.ports.clock import Clock
from bindery.ports.table import Item, Table

PK = "rules"
MOST_ENTRIES = 500
FRESH_SECONDS = 30


class Kind(StrEnum):
    """Kind of an entry. The values are the words of `bindery rules add`."""

    BAN = "ban"
    ALLOW = "allow"
    QUOTA = "quota"
    BAN_NETWORK = "ban-network"


class Entry(BaseModel):
    """Rule in the table. value: a pattern, or a network in CIDR notation. quota: sessions of one repository, with Kind.QUOTA.

    created_at, expires_at: UTC seconds. expires_at None: valid until it is removed. Raises ValidationError for a value that is
    no pattern or network.
    """

    model_config = ConfigDict(frozen=True)

    kind: Kind
    value: str
    quota: int | None = Field(None, ge=0)
    why: str = Field("", max_length=500)
    created_at: float
    expires_at: float | None = None

    @model_validator(mode="after")
    def _is_usable(self) -> "Entry":
        """Check value and quota for the entry's kind. Raises ValueError."""
        if self.kind is Kind.BAN_NETWORK:
            ip_network(self.value, strict=False)
        else:
            check_pattern(self.value)
        if (self.quota is None) == (self.kind is Kind.QUOTA):
            raise ValueError("a quota belongs to kind quota, and to no other")
        return self

    @property
    def id(self) -> str:
        """Return ten hex digits, equal for equal rules: adding a rule again renews it."""
        return hashlib.sha256(f"{self.kind}\n{self.value}".encode()).hexdigest()[:10]

    def counts(self, now: float) -> bool:
        """Return True if the entry has not expired."""
        return self.expires_at is None or self.expires_at > now


class RuleBookFull(ValueError):
    """The table already has MOST_ENTRIES rules."""


@dataclass
class RuleBook:
    """Rules in force: those of the settings and the table's entries.

    A process reads the table again after FRESH_SECONDS. A change takes effect everywhere within that time, and a visitor
    causes at most one read. While the table is throttled, the last read entries stay in force.
    """

    table: Table
    clock: Clock
    base: Rules
    _entries: tuple[Entry, ...] = ()
    _read_at: float | None = field(default=None, repr=False)

    def rules(self) -> Rules:
        """Return the rules in force. Raises Throttled if the entries were never read."""
        now = self.clock.now()
        if self._read_at is None or not 0 <= now - self._read_at < FRESH_SECONDS:
            try:
                self._entries = tuple(self.entries())
            except Throttled:
                if self._read_at is None:
                    raise
            self._read_at = now
        return with_entries(self.base, self._entries, now)

    def entries(self) -> Iterator[Entry]:
        """Yield every entry, oldest first, including expired entries that are still stored."""
        items = self.table.query(PK, limit=MOST_ENTRIES)
        yield from sorted((Entry.model_validate(item.data) for item in items), key=lambda entry: entry.created_at)

    def add(self, entry: Entry) -> None:
        """Write an entry; it replaces an entry of the same kind and value. Raises RuleBookFull.

        An expired allow-entry stays in the table: without it, every repository could be launched again.
        """
        if entry.id not in {each.id for each in self.entries()} and len(list(self.entries())) >= MOST_ENTRIES:
            raise RuleBookFull(f"there are {MOST_ENTRIES} rules: remove some first")
        until = None if entry.kind is Kind.ALLOW else entry.expires_at
        while True:
            item = self.table.get(PK, entry.id) or Item(PK, entry.id)
            with suppress(Stale):
                self.table.put(replace(item, data=entry.model_dump(mode="json"), expires_at=until))
                return

    def remove(self, entry_id: str) -> bool:
        """Remove an entry by its id. Return False if it does not exist."""
        while item := self.table.get(PK, entry_id):
            with suppress(Stale):
                self.table.delete(item)
                return True
        return False


def with_entries(base: Rules, entries: tuple[Entry, ...], now: float) -> Rules:
    """Return `base` with the entries that are valid at `now`. Newer quota entries precede older ones and those of the settings."""

    def values(kind: Kind) -> tuple[str, ...]:
        return tuple(entry.value for entry in entries if entry.kind is kind and entry.counts(now))

    quotas = [SpecRule(entry.value, entry.quota) for entry in entries if entry.quota is not None and entry.counts(now)]
    return replace(
        base,
        spec_rules=(*reversed(quotas), *base.spec_rules),
        banned_specs=(*base.banned_specs, *values(Kind.BAN)),
        allowed_specs=(*base.allowed_specs, *values(Kind.ALLOW)),
        banned_networks=(*base.banned_networks, *values(Kind.BAN_NETWORK)),
        only_allowed=base.only_allowed or any(entry.kind is Kind.ALLOW for entry in entries),
    )
