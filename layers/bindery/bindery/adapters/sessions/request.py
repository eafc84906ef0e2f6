"""One request to a cluster's API server.

On urllib3 alone, which the Kubernetes client stands on too: to import that one was a quarter of a function's cold start, and
bodies are JSON here as they are there.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from urllib3 import BaseHTTPResponse, Timeout

from bindery.adapters.sessions.access import RETRIES, Entry

TIMEOUTS = (3.0, 10.0)  # seconds to connect, and between two bytes


@dataclass(frozen=True)
class Request:
    """path: from the server's root. watched: for so many seconds the answer is to be read as it comes; 0: all of it at once."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Mapping[str, Any] | None = None
    watched: float = 0

    def send(self, entry: Entry) -> BaseHTTPResponse:
        """The answer, whatever it is. Raises urllib3's HTTPError."""
        headers = {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": "bindery"}
        if entry.authorization:
            headers["Authorization"] = entry.authorization
        connecting, reading = TIMEOUTS
        return entry.pool.request(
            self.method,
            f"{entry.address}{self.path}" + (f"?{urlencode(self.query)}" if self.query else ""),
            body=json.dumps(self.body) if self.body else None,
            headers=headers,
            timeout=Timeout(connect=connecting, read=self.watched + 1 if self.watched else reading),
            retries=RETRIES,
            redirect=False,
            preload_content=not self.watched,
        )
