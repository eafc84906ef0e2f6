"""How Bindery gets into a cluster: where its API server is, whom to trust there, and what to show it."""

import ssl
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from urllib3 import PoolManager
from urllib3.exceptions import TimeoutError as TooSlow
from urllib3.util import Retry


class _AtOnce(Retry):
    """A kept connection that had ended makes room for a new one, whatever was asked: nothing here does harm twice.

    Who is slow, or asks us to come back in an hour, is not asked again: the queue does that.
    """

    def increment(self, method: str | None = None, url: str | None = None, *rest: Any, **more: Any) -> Self:  # noqa: ANN401
        error = more.get("error")
        if isinstance(error, TooSlow):
            raise error
        return super().increment(method, url, *rest, **more)


RETRIES = _AtOnce(1, redirect=0, status=0, other=0, respect_retry_after_header=False, allowed_methods=None)
LOOK_AGAIN_SECONDS = 10  # between two looks at a cluster that is silent, or that refuses us


@dataclass(frozen=True)
class Entry:
    """address: of the API server. authorization: the header; empty where the connection itself says who asks."""

    address: str
    pool: PoolManager = field(repr=False)
    authorization: str = field(default="", repr=False)


class Access(Protocol):
    """name: which cluster, for people.

    entry: for the next request; its pool is the same one for as long as the cluster and whom we trust there are.
    renewed: an entry's credentials were refused; whether `entry` has others now, so that asking again makes sense.
    moved: nobody was reached by an entry; whether `entry` leads elsewhere now.
    Both ask AWS at most once in LOOK_AGAIN_SECONDS, however often they are asked.
    All may raise ClusterRefused where there are no credentials to show, and LauncherDown where that may pass by itself.
    """

    @property
    def name(self) -> str: ...
    def entry(self) -> Entry: ...
    def renewed(self, refused: Entry, /) -> bool: ...
    def moved(self, silent: Entry, /) -> bool: ...
    def close(self) -> None: ...


def trusting(authority: str) -> ssl.SSLContext:
    """TLS towards a cluster. authority: its own, in PEM; empty: those of this machine. Raises ValueError.

    Not as strict as Python is from 3.13 on: the authority that EKS makes for a cluster lacks the key identifiers that are
    asked for there. Chain, dates and name are checked as ever.
    """
    try:
        context = ssl.create_default_context(cadata=authority or None)
    except ssl.SSLError as error:
        raise ValueError("its authority is no certificate") from error
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def bearer(token: str) -> str:
    """The header that shows it."""
    return f"Bearer {token}"
