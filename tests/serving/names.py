"""Names below `localhost` as a browser resolves them, for clients that ask the machine's resolver, which may not know them."""

import socket
from collections.abc import Iterator, Mapping

import httpx
import pytest


@pytest.fixture
def localhost_names() -> Iterator[None]:
    """Resolve these names to loopback in this process, while the block lasts."""
    ask = socket.getaddrinfo

    def answer(host: str | bytes | None, *more: object, **named: object) -> object:
        here = isinstance(host, str) and host.endswith(".localhost")
        return ask("127.0.0.1" if here else host, *more, **named)  # type: ignore[arg-type]  # passed on as given

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", answer)
        yield


def session_of(ready: Mapping[str, str]) -> str:
    """Return the session's id, which is the first part of the host in the address of a launch that became ready."""
    return httpx.URL(ready["url"]).host.partition(".")[0]
