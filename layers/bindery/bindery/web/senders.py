"""Sender and scheme of a REST API event, from API Gateway or the local front, and from trusted proxies before them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bindery.web.proxies import SCHEMES, Proxies, scheme_of


@dataclass(frozen=True)
class Sender:
    """Sender of a request. client: its address. scheme: of its own connection."""

    client: str
    scheme: str


def sender_of(event: Mapping[str, Any], proxies: Proxies) -> Sender:
    """Return the sender of the event.

    Its context contains the connection's peer and, in the local runtime, the scheme. API Gateway puts a version of HTTP there
    instead, and has itself written `X-Forwarded-Proto`.
    """
    context = event["requestContext"]
    peer = str(context["identity"].get("sourceIp") or "")
    forwarded = _header(event, "x-forwarded-proto")
    scheme = str(context.get("protocol") or "")
    if scheme not in SCHEMES:
        return Sender(proxies.client(peer, _header(event, "x-forwarded-for")), scheme_of(forwarded, "http"))
    return Sender(proxies.client(peer, _header(event, "x-forwarded-for")), proxies.scheme(peer, scheme, forwarded))


def _header(event: Mapping[str, Any], name: str) -> str:
    """Return all values of a header, comma-separated, as received. name: in lower case."""
    many = {key.lower(): values for key, values in (event.get("multiValueHeaders") or {}).items()}
    one = {key.lower(): value for key, value in (event.get("headers") or {}).items()}
    return ",".join(many[name]) if many.get(name) else str(one.get(name) or "")
