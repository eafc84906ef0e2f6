"""Access to a cluster: its API server's address, its trusted certificate authority, and the credentials."""

import ssl
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from urllib3 import PoolManager
from urllib3.exceptions import TimeoutError as TooSlow
from urllib3.util import Retry


class _AtOnce(Retry):
    """Retry rule: a closed pooled connection is replaced by a new one for every method, because all requests here are repeatable.

    A timeout or a `Retry-After` causes no retry here: the queue retries the message later.
    """

    def increment(self, method: str | None = None, url: str | None = None, *rest: Any, **more: Any) -> Self:  # noqa: ANN401
        error = more.get("error")
        if isinstance(error, TooSlow):
            raise error
        return super().increment(method, url, *rest, **more)


RETRIES = _AtOnce(1, redirect=0, status=0, other=0, respect_retry_after_header=False, allowed_methods=None)
LOOK_AGAIN_SECONDS = 10  # between two lookups of a cluster that is silent or refuses Bindery


@dataclass(frozen=True)
class Entry:
    """Connections and credentials for one cluster. address: of the API server.

    authorization: the header; empty if the connection's client certificate authenticates Bindery.
    """

    address: str
    pool: PoolManager = field(repr=False)
    authorization: str = field(default="", repr=False)


class Access(Protocol):
    """Source of entries to one cluster. name: the cluster's name for people.

    entry: returns the entry for the next request; its pool stays the same while the cluster and its authority stay the same.
    renewed: call it if an entry's credentials were refused; returns True if `entry` has other credentials now and a retry makes sense.
    moved: call it if an entry's address did not respond; returns True if `entry` has another address now.
    Both send at most one request to AWS in LOOK_AGAIN_SECONDS, for any number of calls.
    All may raise ClusterRefused if there are no credentials, and LauncherDown for a temporary error.
    """

    @property
    def name(self) -> str: ...
    def entry(self) -> Entry: ...
    def renewed(self, refused: Entry, /) -> bool: ...
    def moved(self, silent: Entry, /) -> bool: ...
    def close(self) -> None: ...


def trusting(authority: str) -> ssl.SSLContext:
    """Return the TLS settings for a cluster. authority: the cluster's own, in PEM; empty: those of this machine. Raises ValueError.

    They are less strict than Python's default since 3.13: the authority of an EKS cluster lacks the key identifiers that Python
    requires. Chain, dates and name are still checked.
    """
    try:
        context = ssl.create_default_context(cadata=authority or None)
    except ssl.SSLError as error:
        raise ValueError("its authority is no certificate") from error
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def bearer(token: str) -> str:
    """Return the Authorization header's value for a token."""
    return f"Bearer {token}"
