"""Access check of /metrics."""

import hmac
from dataclasses import dataclass

from bindery.domain.access_policy import is_in_networks
from bindery.domain.errors import MetricsClosed


@dataclass(frozen=True)
class MetricsAccess:
    """Access rules of /metrics.

    token: the accepted bearer token; empty: no token is accepted. networks: client networks that need no token, CIDR.

    local: True if only the user that started Bindery can send requests.
    """

    token: str
    networks: tuple[str, ...]
    local: bool

    @property
    def possible(self) -> bool:
        """Return False if no client could read the text, so that it need not be rendered."""
        return bool(self.token or self.networks or self.local)

    def check(self, client: str, authorization: str) -> None:
        """Raise MetricsClosed if the client may not read /metrics.

        client: its address. authorization: the header of that name, or empty.
        """
        scheme, _, token = authorization.partition(" ")
        is_bearer = scheme.lower() == "bearer" and bool(self.token)
        matches = hmac.compare_digest(token.strip().encode("utf-8", "surrogatepass"), self.token.encode())
        if not (self.local or (is_bearer and matches) or is_in_networks(client, self.networks)):
            raise MetricsClosed
