"""CORS headers for sites with scripts that may read responses (https://fetch.spec.whatwg.org/#http-cors-protocol)."""

from dataclasses import dataclass

ALLOW_ORIGIN = "Access-Control-Allow-Origin"


@dataclass(frozen=True)
class Cors:
    """CORS settings. allow: the value of `Access-Control-Allow-Origin` for every request; empty if there is no such value.

    listed: origins that each get their own origin as the value, in place of `allow`.
    """

    allow: str = ""
    listed: tuple[str, ...] = ()

    def headers(self, origin: str) -> dict[str, str]:
        """Return the headers of a response to a request with that `Origin`; empty if the request has no `Origin`."""
        if not self.listed:
            return {ALLOW_ORIGIN: self.allow} if self.allow else {}
        return {"Vary": "Origin", **({ALLOW_ORIGIN: origin} if origin in self.listed else {})}
