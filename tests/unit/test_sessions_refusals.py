"""The meaning of the API server's refusals, with messages as it writes them."""

import json

import pytest

from bindery.adapters.kubernetes.api_errors import refusal
from bindery.domain.errors import BinderyError, ClusterFull, ClusterRefused, LauncherDown, SessionRefused

QUOTA = (
    'pods "session-x" is forbidden: exceeded quota: sessions, requested: requests.memory=2G, '
    "used: requests.memory=8G, limited: requests.memory=9G"
)
SECURITY = (
    'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true (pod or container "session" '
    "must set securityContext.runAsNonRoot=true)"
)
RIGHTS = (
    'pods is forbidden: User "system:serviceaccount:bindery:bindery" cannot create resource "pods" in API group "" '
    'in the namespace "bindery-sessions"'
)
LIMIT = 'pods "x" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2G'

LIMITS = (
    'pods "x" is forbidden: [maximum memory usage per Container is 2G, but limit is 3G, '
    "maximum memory usage per Pod is 2G, but limit is 3G]"
)
UNCOUNTED = 'pods "x" is forbidden: status unknown for quota: sessions, resources: pods,requests.memory'


@pytest.mark.parametrize(
    ("status", "message", "kind", "words"),
    [
        (403, QUOTA, ClusterFull, "the quota sessions of its namespace is used up (requests.memory=2G)"),
        (403, SECURITY, SessionRefused, "runAsNonRoot != true"),
        (403, RIGHTS, ClusterRefused, "Bindery's account may not create pods"),
        (403, LIMIT, SessionRefused, "maximum memory usage per Container is 1Gi, but limit is 2G"),
        (403, LIMITS, SessionRefused, "maximum memory usage per Pod is 2G, but limit is 3G"),
        (403, UNCOUNTED, LauncherDown, "not counted yet"),
        (403, 'admission webhook "policy.example" denied the request: no', SessionRefused, "denied the request: no"),
        (422, "Pod is invalid: spec.x", SessionRefused, "spec.x"),
        (404, "the server could not find the requested resource", SessionRefused, "could not find"),
        (401, "Unauthorized", ClusterRefused, "credentials"),
        (409, "object is being deleted", LauncherDown, "409"),
        (429, "too many requests", LauncherDown, "429"),
        (500, "etcdserver: request timed out", LauncherDown, "500"),
        (503, "", LauncherDown, "503"),
    ],
)
def test_each_refusal_has_its_own_error_and_message(
    status: int, message: str, kind: type[BinderyError], words: str
) -> None:
    error = refusal(status, json.dumps({"kind": "Status", "message": message}))
    assert type(error) is kind
    assert words in str(error.facts["why"])
    assert "]" not in str(error.facts["why"])


@pytest.mark.parametrize("body", [None, "", "<html>", "[]", b"\xff"])
def test_an_invalid_refusal_has_an_error_without_a_message(body: str | bytes | None) -> None:
    assert type(refusal(403, body)) is SessionRefused
    assert type(refusal(502, body)) is LauncherDown
