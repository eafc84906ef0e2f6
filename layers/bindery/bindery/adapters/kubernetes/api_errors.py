"""What the cluster's API server means when it refuses something: its status and sentence as one of our errors."""

import json
import re

from bindery.domain.errors import ClusterFull, ClusterRefused, LauncherDown, Retryable, SessionRefused

QUOTA = re.compile(r"exceeded quota: (?P<name>\S+), requested: (?P<asked>[^;]*?), used: ")
ADMISSION = re.compile(r'violates PodSecurity "[^"]*": (?P<rules>.*)')
RIGHTS = re.compile(r'User "[^"]*" cannot (?P<verb>\w+) resource "(?P<what>\w+)"')
UNCOUNTED = re.compile(r"status unknown for quota: ")
LIMIT = re.compile(r"(?P<what>(?:maximum|minimum) [^\]]*)")
UNKNOWN, NOT_FOUND, LATER = 401, 404, frozenset({408, 409, 410, 429})


def refusal(status: int, body: str | bytes | None) -> Retryable | ClusterFull | SessionRefused:
    """The error for an answer of this HTTP status; body: a `Status` object in JSON, if it was one."""
    said = _message(body)
    if status in LATER or not 400 <= status < 500:
        return LauncherDown(why=f"the cluster's API server answered {status}")
    if status == UNKNOWN:
        return ClusterRefused(why="the cluster does not accept Bindery's credentials")
    if UNCOUNTED.search(said):
        return LauncherDown(why="the cluster has not counted yet what its quota leaves")
    if full := QUOTA.search(said):
        return ClusterFull(why=f"the quota {full['name'].rstrip(',')} of its namespace is used up ({full['asked']})")
    if lacking := RIGHTS.search(
        said
    ):  # for a moment also of an API server that has just started, which knows no rights yet
        return ClusterRefused(why=f"Bindery's account may not {lacking['verb']} {lacking['what']}")
    return SessionRefused(why=_why(status, said))


def reason(body: str | bytes) -> str:
    """The cluster's own word for it, such as `AlreadyExists`; empty if it gave none."""
    try:
        return str(json.loads(body)["reason"])
    except (TypeError, ValueError, KeyError):
        return ""


def _why(status: int, said: str) -> str:
    if rules := ADMISSION.search(said):
        return f"its rules for security ask for more: {rules['rules']}"
    if limits := LIMIT.search(said):
        return limits["what"]
    return f"something that sessions need is not there ({said})" if status == NOT_FOUND else said


def _message(body: str | bytes | None) -> str:
    try:
        return str(json.loads(body or "{}").get("message", ""))
    except (ValueError, AttributeError):
        return ""
