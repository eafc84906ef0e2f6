"""Sites whose scripts may read answers (https://fetch.spec.whatwg.org/#http-cors-protocol)."""

from dataclasses import dataclass

ALLOW_ORIGIN = "Access-Control-Allow-Origin"


@dataclass(frozen=True)
class Cors:
    """allow: the value of `Access-Control-Allow-Origin` for every request, empty if there is none.

    listed: origins that are each answered with their own, in place of `allow`.
    """

    allow: str = ""
    listed: tuple[str, ...] = ()

    def headers(self, origin: str) -> dict[str, str]:
        """Return the headers of an answer to a request with that `Origin`, empty if it has none."""
        if not self.listed:
            return {ALLOW_ORIGIN: self.allow} if self.allow else {}
        return {"Vary": "Origin", **({ALLOW_ORIGIN: origin} if origin in self.listed else {})}
