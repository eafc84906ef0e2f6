"""Sockets that limit each wait for bytes. A read timeout alone would let a slow sender outlast any deadline."""

import socket
import ssl
from collections.abc import Callable

Once = Callable[[float], int]
"""Function that waits for bytes, at most the given seconds. It returns their number and raises TimeoutError."""


class BoundedSocket(socket.socket):
    """Socket whose subclass chooses how long each read may wait."""

    def receive(self, once: Once) -> int:
        """Call `once` with the seconds that it may wait, and return its result."""
        raise NotImplementedError

    def recv_into(self, buffer: bytearray | memoryview, nbytes: int = 0, flags: int = 0) -> int:  # type: ignore[override] # arguments of SocketIO and ssl
        receive = super().recv_into

        def once(seconds: float) -> int:
            self.settimeout(seconds)
            return receive(buffer, nbytes, flags)

        return self.receive(once)


class BoundedTLSSocket(ssl.SSLSocket):
    """TLS socket with the rule of BoundedSocket."""

    def receive(self, once: Once) -> int:
        """Call `once` with the seconds that it may wait, and return its result."""
        raise NotImplementedError

    def recv_into(self, buffer: bytearray | memoryview, nbytes: int | None = None, flags: int = 0) -> int:  # type: ignore[override] # as above
        receive = super().recv_into

        def once(seconds: float) -> int:
            self.settimeout(seconds)
            return receive(buffer, nbytes, flags)

        return self.receive(once)
