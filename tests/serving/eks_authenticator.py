"""The authenticator of an EKS cluster's API server: it finds the role behind a token, as AWS would.

The checks are those of aws-iam-authenticator. The signature is computed anew, by the documentation of Signature Version 4
and without botocore, because the tests cannot ask AWS itself.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

from tests.serving.loopback import Loopback, Quiet

PREFIX, HEADER = "k8s-aws-v1.", "x-k8s-aws-id"
LONGEST, LASTS, EXPIRES = 4096, 900, range(901)
KNOWN = {
    *("action", "version", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires"),
    *("x-amz-security-token", "x-amz-signature", "x-amz-signedheaders"),
}


class NotAccepted(Exception):
    """An error with the reason of a refusal."""


def identity(token: str, cluster: str, keys: Mapping[str, str], now: float) -> str:
    """Return the access key that signed this token for this cluster. Raise NotAccepted.

    keys: secret by access key. now: UTC seconds.
    """
    _must(len(token) <= LONGEST, "too long")
    _must(token.startswith(PREFIX), "no such prefix")
    encoded = token.removeprefix(PREFIX)
    _must("=" not in encoded, "padded")
    url = urlsplit(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode())
    host = url.netloc.split(".")
    _must(url.scheme == "https" and host[0] == "sts" and ".".join(host[2:]).startswith("amazonaws.com"), "no STS")
    _must(url.path == "/", "another path")
    pairs = parse_qsl(url.query, keep_blank_values=True)
    query = {name.lower(): value for name, value in pairs}
    _must(query.keys() <= KNOWN and len(query) == len(pairs), "other parameters")
    _must(query["action"] == "GetCallerIdentity", "another action")
    _must(HEADER in query["x-amz-signedheaders"].split(";"), "the cluster is not signed")
    _must(int(query["x-amz-expires"]) in EXPIRES, "no such expiry")
    signed_at = datetime.strptime(query["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    _must(signed_at <= now + 300, "of the future")
    _must(now <= signed_at + LASTS, "expired")
    access_key = query["x-amz-credential"].partition("/")[0]
    _must(access_key in keys, "nobody's key")
    expected = _signature(url.netloc, pairs, cluster, keys[access_key])
    _must(hmac.compare_digest(query["x-amz-signature"], expected), "another signature")
    return access_key


def _must(so: bool, why: str) -> None:
    if not so:
        raise NotAccepted(why)


def _signature(host: str, pairs: list[tuple[str, str]], cluster: str, secret: str) -> str:
    parameters = dict(pairs)
    _, day, region, service, last = parameters["X-Amz-Credential"].split("/")
    headers = {"host": host, HEADER: cluster}
    names = parameters["X-Amz-SignedHeaders"].split(";")
    query = sorted(
        (quote(name, safe="~"), quote(value, safe="~")) for name, value in pairs if name != "X-Amz-Signature"
    )
    canonical = [
        *("GET", "/", "&".join(f"{name}={value}" for name, value in query)),
        *(f"{name}:{headers[name]}" for name in names),
        *("", ";".join(names), hashlib.sha256(b"").hexdigest()),
    ]
    scope = f"{day}/{region}/{service}/{last}"
    hashed = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, last):
        key = hmac.digest(key, part.encode(), "sha256")
    to_sign = f"AWS4-HMAC-SHA256\n{parameters['X-Amz-Date']}\n{scope}\n{hashed}"
    return hmac.new(key, to_sign.encode(), "sha256").hexdigest()


class Authenticator(Loopback):
    """The webhook that an API server calls. keys: of the known callers. group: of every caller. refused: reasons, in order."""

    def __init__(self, cluster: str, keys: dict[str, str], group: str) -> None:
        self.cluster = cluster
        self.keys = keys
        self.group = group
        self.accepted: list[str] = []
        self.refused: list[str] = []
        super().__init__(_Handler)

    def review(self, token: str) -> Mapping[str, object]:
        """Return the status of a TokenReview."""
        try:
            key = identity(token, self.cluster, self.keys, time.time())
        except (NotAccepted, KeyError, ValueError) as error:
            self.refused.append(str(error))
            return {"authenticated": False}
        self.accepted.append(token)
        role = f"arn:aws:sts::123456789012:assumed-role/bindery/{key}"
        return {"authenticated": True, "user": {"username": role, "uid": key, "groups": [self.group]}}

    def configuration(self, folder: Path) -> Path:
        """Write the file that `--authentication-token-webhook-config-file` names."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "webhook", "cluster": {"server": f"{self.origin}/authenticate"}}],
            "users": [{"name": "server", "user": {}}],
            "contexts": [{"name": "webhook", "context": {"cluster": "webhook", "user": "server"}}],
            "current-context": "webhook",
        }
        path = folder / "webhook.kubeconfig"
        path.write_text(json.dumps(config))
        return path


class _Handler(Quiet, BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        request = json.loads(self.body())
        response = {**request, "status": self.server.owner.review(request["spec"]["token"])}
        self.send(200, json.dumps(response).encode(), {"Content-Type": "application/json"})
