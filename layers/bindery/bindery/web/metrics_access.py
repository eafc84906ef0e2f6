"""Who may read /metrics."""

import hmac
from dataclasses import dataclass

from bindery.domain.access_policy import is_in
from bindery.domain.errors import MetricsClosed


@dataclass(frozen=True)
class MetricsAccess:
    """token: opens /metrics as a bearer token; empty: no token does. networks: clients' networks that need none, CIDR.

    local: True where only the user who started Bindery can send requests.
    """

    token: str
    networks: tuple[str, ...]
    local: bool

    @property
    def possible(self) -> bool:
        """False if no client could read the text, so that it need not be rendered."""
        return bool(self.token or self.networks or self.local)

    def check(self, client: str, authorization: str) -> None:
        """Raises MetricsClosed. client: its address. authorization: the header of that name, or empty."""
        scheme, _, token = authorization.partition(" ")
        bears = scheme.lower() == "bearer" and bool(self.token)
        matches = hmac.compare_digest(token.strip().encode("utf-8", "surrogatepass"), self.token.encode())
        if not (self.local or (bears and matches) or is_in(client, self.networks)):
            raise MetricsClosed
