"""Authentication of a function at an EKS cluster with the function's own role.

The token is a presigned URL of STS's GetCallerIdentity. The function signs it together with the cluster's name; the cluster
requests it, and its response names the role. Making a token sends no request.
"""

import base64
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botocore.exceptions import NoCredentialsError, NoRegionError
from botocore.model import ServiceId
from botocore.regions import EndpointResolver
from botocore.session import Session
from botocore.signers import RequestSigner
from urllib3 import PoolManager

from bindery.adapters.aws.errors import cluster_trouble
from bindery.adapters.kubernetes.access import LOOK_AGAIN_SECONDS, Entry, bearer, trusting
from bindery.domain.errors import LauncherDown
from bindery.ports.clock import Clock

if TYPE_CHECKING:
    from mypy_boto3_eks import EKSClient

PREFIX, HEADER = "k8s-aws-v1.", "x-k8s-aws-id"
SIGNED_SECONDS = 60  # authenticators require this value; AWS accepts the URL for 15 minutes regardless of it
FRESH_SECONDS = 14 * 60
ANEW_SECONDS = 10  # a younger token was not refused for its age
LASTING = {"AccessDeniedException", "ResourceNotFoundException", "UnrecognizedClientException", "ExpiredTokenException"}


class EksTokens:
    """Tokens for one cluster. session: its current credentials sign each token."""

    def __init__(self, cluster: str, session: Session) -> None:
        self._cluster = cluster
        self._session = session

    def make(self) -> str:
        """Return a new token, valid for 15 minutes. Raises botocore's errors if credentials or the region are missing."""
        region = self._session.get_config_variable("region")
        request = {
            "method": "GET",
            "url": f"https://{self._host(region)}/?Action=GetCallerIdentity&Version=2011-06-15",
            "headers": {HEADER: self._cluster},
            "body": {},
            "context": {},
        }
        signer = self._signer(region)
        url = signer.generate_presigned_url(
            request, operation_name="GetCallerIdentity", region_name=region, expires_in=SIGNED_SECONDS
        )
        return PREFIX + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")

    def _host(self, region: str) -> str:
        endpoints = self._session.get_component("data_loader").load_data("endpoints")
        endpoint = EndpointResolver(endpoints, uses_builtin_data=True).construct_endpoint("sts", region)
        if endpoint is None:
            raise NoRegionError
        return str(endpoint["hostname"])

    def _signer(self, region: str) -> RequestSigner:
        """Return a signer for STS. A client of STS is not needed: loading it takes longer than signing, and no request is sent."""
        credentials = self._session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        emitter = self._session.get_component("event_emitter")
        return RequestSigner(ServiceId("STS"), region, "sts", "v4", credentials, emitter)


@dataclass(frozen=True)
class _Lookup:
    """Result of a cluster's lookup and the token signed for it. One object holds both, so they always belong to the same cluster.

    authority: in base64, as in EKS's response. signed_at: UTC seconds.
    """

    entry: Entry
    authority: str
    signed_at: float = float("-inf")


class EksAccess:
    """Access to the cluster of this name in the session's region.

    A token is reused for 14 minutes. The cluster's address and authority are looked up with each new token, because a cluster
    that was recreated under its name has others. They are looked up sooner when the cluster refuses Bindery or does not respond.
    If a lookup fails, the last result stays in use.
    """

    def __init__(self, cluster: str, eks: "EKSClient", session: Session, clock: Clock) -> None:
        self.name = f"EKS cluster {cluster}"
        self._cluster = cluster
        self._eks = eks
        self._tokens = EksTokens(cluster, session)
        self._clock = clock
        self._lookup: _Lookup | None = None
        self._read_at = float("-inf")

    def entry(self) -> Entry:
        lookup = self._lookup
        if lookup is None:
            lookup = self._signed(self._look_up())
        elif self._clock.now() - lookup.signed_at >= FRESH_SECONDS:
            lookup = self._signed(self._look_up_if_possible(lookup))
        return lookup.entry

    def renewed(self, refused: Entry) -> bool:
        lookup = self._lookup
        if lookup is None or lookup.entry is not refused:  # another thread has renewed it already
            return True
        young = self._clock.now() - lookup.signed_at < ANEW_SECONDS
        current = self._look_up_again(lookup)
        if young and current is lookup:
            return False
        self._signed(current)
        return True

    def moved(self, silent: Entry) -> bool:
        lookup = self._lookup
        if lookup is None or lookup.entry.pool is not silent.pool:
            return True
        current = self._look_up_again(lookup)
        if current is lookup:
            return False
        self._signed(current)
        return True

    def close(self) -> None:
        if self._lookup:
            self._lookup.entry.pool.clear()

    def _signed(self, lookup: _Lookup) -> _Lookup:
        """Sign a new token for the cluster, store both, and return them."""
        with self._facts():
            entry = replace(lookup.entry, authorization=bearer(self._tokens.make()))
        self._lookup = replace(lookup, entry=entry, signed_at=self._clock.now())
        return self._lookup

    def _look_up_if_possible(self, lookup: _Lookup) -> _Lookup:
        try:
            return self._look_up()
        except LauncherDown:
            return lookup

    def _look_up_again(self, lookup: _Lookup) -> _Lookup:
        """Return a new lookup, or the given one if the last lookup was a moment ago: a cluster may refuse all requests for hours."""
        return lookup if self._clock.now() - self._read_at < LOOK_AGAIN_SECONDS else self._look_up()

    def _look_up(self) -> _Lookup:
        """Look up the cluster. Return the stored lookup if the cluster is still the same."""
        self._read_at = self._clock.now()
        with self._facts():
            cluster = self._eks.describe_cluster(name=self._cluster)["cluster"]
        address, encoded = cluster.get("endpoint", ""), cluster.get("certificateAuthority", {}).get("data", "")
        if not address or not encoded:
            raise LauncherDown(why=f"{self.name} is {cluster.get('status', 'not ready').lower()}")
        lookup = self._lookup
        if lookup and (lookup.entry.address, lookup.authority) == (address, encoded):
            return lookup
        return _Lookup(Entry(address, PoolManager(ssl_context=trusting(base64.b64decode(encoded).decode()))), encoded)

    def _facts(self) -> AbstractContextManager[None]:
        """Raise AWS's errors about the cluster as Bindery's."""
        return cluster_trouble(f"ask {self.name}", f"{self.name} cannot be looked up", LASTING)
