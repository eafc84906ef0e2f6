"""Limits per client: launches per window, and open event streams."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bindery.domain.clients import Clients, is_own_machine
from bindery.domain.errors import RateLimited, Stale, TooManyStreams
from bindery.domain.launch_request import Rate
from bindery.ports.clock import Clock
from bindery.ports.table import Item, Table

CONFLICTS = 50
"""Maximum of retries. Each conflict is caused by another request of the same client that was counted first."""


@dataclass(frozen=True)
class ClientLimits:
    """Limits of one client. None: no limit.

    launches: per window, without a page's token. page_launches: per window in total. streams: open at one time.
    seconds: the window's length. lease_seconds: the longest time that a stream may be open. After it the stream's place is free, even if
    its function ended without freeing it.
    """

    launches: int
    seconds: int
    page_launches: int | None = None
    streams: int | None = None
    lease_seconds: float = 900


@dataclass
class _Shares:
    """Counts of one client.

    reset: the end of the window. launches, page_launches: counts in the window. streams: a stream's id to the end of its lease.
    Times are UTC seconds.
    """

    reset: float = 0
    launches: int = 0
    page_launches: int = 0
    streams: dict[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, data: Mapping[str, Any], now: float) -> "_Shares":
        """Return the stored counts without expired windows and leases."""
        shares = cls(**data)
        shares.streams = {name: until for name, until in shares.streams.items() if until > now}
        return shares if shares.reset > now else cls(streams=shares.streams)


@dataclass(frozen=True)
class ClientShares:
    """Counters per client. Each client has one item per epoch, with a keyed hash of its network as the key.

    The item is read once and written once per launch, and per end of a stream.
    Clients on this machine are exempt, except from the limit of launches without a page's token.
    """

    table: Table
    clock: Clock
    clients: Clients
    limits: ClientLimits

    def count(self, address: str) -> Rate:
        """Count a launch without a page's token. Raises RateLimited, Stale."""
        rate = self.take(address)
        assert rate is not None  # noqa: S101  # always set for a launch without a token
        return rate

    def take(self, address: str, *, page: bool = False, stream: str = "") -> Rate | None:
        """Count a new launch, and its stream. Return the rate for launches without a page's token; None for a launch with a token.

        stream: an id for the stream of its events; empty if there is no stream. Raises RateLimited, TooManyStreams, Stale.
        """
        exempt = is_own_machine(address)
        paged = self.limits.page_launches is not None and not exempt
        streams = self.limits.streams is not None and bool(stream) and not exempt
        if page and not paged and not streams:
            return None

        def taken(shares: _Shares, now: float) -> None:
            if streams:
                self._open(shares, stream, now)
            self._launch(shares, now, page=page, paged=paged)

        shares = self._change(address, taken)
        return None if page else Rate(self.limits.launches, self.limits.launches - shares.launches, int(shares.reset))

    def resume(self, address: str, stream: str) -> None:
        """Count another stream of a launch that is already counted. Raises TooManyStreams, Stale."""
        if self.limits.streams is not None and not is_own_machine(address):
            self._change(address, lambda shares, now: self._open(shares, stream, now))

    def close(self, address: str, stream: str) -> None:
        """Free a stream's place. Idempotent. Raises Stale."""
        if self.limits.streams is not None and not is_own_machine(address):
            self._change(address, lambda shares, _now: shares.streams.pop(stream, None))

    def _launch(self, shares: _Shares, now: float, *, page: bool, paged: bool) -> None:
        if not shares.reset:
            shares.reset = now + self.limits.seconds
        seconds = int(shares.reset - now) + 1
        if not page and shares.launches >= self.limits.launches:
            raise RateLimited(limit=self.limits.launches, seconds=seconds)
        if paged and shares.page_launches >= (self.limits.page_launches or 0):
            raise RateLimited(limit=self.limits.page_launches or 0, seconds=seconds)
        shares.page_launches += 1
        shares.launches += not page

    def _open(self, shares: _Shares, stream: str, now: float) -> None:
        if len(shares.streams) >= (self.limits.streams or 0):
            raise TooManyStreams(limit=self.limits.streams or 0)
        shares.streams[stream] = now + self.limits.lease_seconds

    def _change(self, address: str, change: Callable[[_Shares, float], object]) -> _Shares:
        for _ in range(CONFLICTS):
            now = self.clock.now()
            item, shares = self._read(address, now)
            change(shares, now)
            until = max([shares.reset, *shares.streams.values()])
            try:
                self.table.put(Item(item.pk, item.sk, vars(shares), item.version, expires_at=until or now))
            except Stale:
                continue
            return shares
        raise Stale

    def _read(self, address: str, now: float) -> tuple[Item, _Shares]:
        """Return the client's item and counts. The first read of an epoch returns the counts of the last epoch that still apply."""
        keys = self.clients.keys(address, now)
        item = self.table.get(*_key(keys.now))
        before = self.table.get(*_key(keys.before)) if item is None and keys.before else None
        return item or Item(*_key(keys.now)), _Shares.read((item or before or Item("", "")).data, now)


def _key(client: str) -> tuple[str, str]:
    return f"client#{client}", "shares"
