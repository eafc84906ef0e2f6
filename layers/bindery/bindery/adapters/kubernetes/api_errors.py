"""Conversion of the API server's refusals, by status and message, to Bindery's errors."""

import json
import re

from bindery.domain.errors import ClusterFull, ClusterRefused, LauncherDown, Retryable, SessionRefused

QUOTA = re.compile(r"exceeded quota: (?P<name>\S+), requested: (?P<request>[^;]*?), used: ")
ADMISSION = re.compile(r'violates PodSecurity "[^"]*": (?P<rules>.*)')
RIGHTS = re.compile(r'User "[^"]*" cannot (?P<verb>\w+) resource "(?P<resource>\w+)"')
UNCOUNTED = re.compile(r"status unknown for quota: ")
LIMIT = re.compile(r"(?P<limit>(?:maximum|minimum) [^\]]*)")
UNKNOWN, NOT_FOUND, LATER = 401, 404, frozenset({408, 409, 410, 429})


def refusal(status: int, body: str | bytes | None) -> Retryable | ClusterFull | SessionRefused:
    """Return the error for a response of this HTTP status. body: usually a `Status` object in JSON."""
    message = _message(body)
    if status in LATER or not 400 <= status < 500:
        return LauncherDown(why=f"the cluster's API server answered {status}")
    if status == UNKNOWN:
        return ClusterRefused(why="the cluster does not accept Bindery's credentials")
    if UNCOUNTED.search(message):
        return LauncherDown(why="the cluster has not counted yet what its quota leaves")
    if full := QUOTA.search(message):
        return ClusterFull(why=f"the quota {full['name'].rstrip(',')} of its namespace is used up ({full['request']})")
    # An API server that has just started also sends this for a moment: it has not loaded the permissions yet.
    if lacking := RIGHTS.search(message):
        return ClusterRefused(why=f"Bindery's account may not {lacking['verb']} {lacking['resource']}")
    return SessionRefused(why=_why(status, message))


def reason(body: str | bytes) -> str:
    """Return the cluster's reason code, such as `AlreadyExists`; empty if the body has no reason."""
    try:
        return str(json.loads(body)["reason"])
    except (TypeError, ValueError, KeyError):
        return ""


def _why(status: int, message: str) -> str:
    if rules := ADMISSION.search(message):
        return f"its rules for security ask for more: {rules['rules']}"
    if limits := LIMIT.search(message):
        return limits["limit"]
    return f"something that sessions need is not there ({message})" if status == NOT_FOUND else message


def _message(body: str | bytes | None) -> str:
    try:
        return str(json.loads(body or "{}").get("message", ""))
    except (ValueError, AttributeError):
        return ""
