"""How a function is known to an EKS cluster: by its own role, in a call that it signs and the cluster makes.

The token is the address of AWS' "who am I", signed by us together with the cluster's name; the cluster asks it, and so
learns the role. Nothing is sent to make one.
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError
from botocore.model import ServiceId
from botocore.regions import EndpointResolver
from botocore.session import Session
from botocore.signers import RequestSigner
from urllib3 import PoolManager

from bindery.adapters.kubernetes.access import LOOK_AGAIN_SECONDS, Entry, bearer, trusting
from bindery.domain.errors import ClusterRefused, LauncherDown
from bindery.ports.clock import Clock

if TYPE_CHECKING:
    from mypy_boto3_eks import EKSClient

PREFIX, HEADER = "k8s-aws-v1.", "x-k8s-aws-id"
SIGNED_SECONDS = 60  # what authenticators ask for; AWS takes the address for 15 minutes whatever it says
FRESH_SECONDS = 14 * 60
ANEW_SECONDS = 10  # a token this young was not refused for its age
LASTING = {"AccessDeniedException", "ResourceNotFoundException", "UnrecognizedClientException", "ExpiredTokenException"}


class EksTokens:
    """session: its credentials sign, each time those that it has then."""

    def __init__(self, cluster: str, session: Session) -> None:
        self._cluster = cluster
        self._session = session

    def make(self) -> str:
        """Good for 15 minutes. Raises botocore's errors where there is nothing to sign with."""
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
        known = self._session.get_component("data_loader").load_data("endpoints")
        at = EndpointResolver(known, uses_builtin_data=True).construct_endpoint("sts", region)
        if at is None:
            raise NoRegionError
        return str(at["hostname"])

    def _signer(self, region: str) -> RequestSigner:
        """Not a client of STS: to load that takes longer than the rest, and it would never be asked."""
        credentials = self._session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        emitter = self._session.get_component("event_emitter")
        return RequestSigner(ServiceId("STS"), region, "sts", "v4", credentials, emitter)


@dataclass(frozen=True)
class _Known:
    """A cluster as it was looked up, and the token signed for it: kept as one, so that neither is ever of another.

    authority: in base64, as EKS tells it. signed_at: UTC seconds.
    """

    entry: Entry
    authority: str
    signed_at: float = float("-inf")


class EksAccess:
    """The cluster of this name in the session's region.

    A token is kept for 14 minutes. Where the cluster is, and its authority, are asked with each new one: a cluster that was
    made anew under its name is another. They are asked sooner when it refuses us or does not answer; what was found last
    counts for as long as nobody can be asked.
    """

    def __init__(self, cluster: str, eks: "EKSClient", session: Session, clock: Clock) -> None:
        self.name = f"EKS cluster {cluster}"
        self._cluster = cluster
        self._eks = eks
        self._tokens = EksTokens(cluster, session)
        self._clock = clock
        self._known: _Known | None = None
        self._looked_at = float("-inf")

    def entry(self) -> Entry:
        known = self._known
        if known is None:
            known = self._signed(self._found())
        elif self._clock.now() - known.signed_at >= FRESH_SECONDS:
            known = self._signed(self._found_if_possible(known))
        return known.entry

    def renewed(self, refused: Entry) -> bool:
        known = self._known
        if known is None or known.entry is not refused:  # somebody else was here meanwhile
            return True
        young = self._clock.now() - known.signed_at < ANEW_SECONDS
        found = self._found_again(known)
        if young and found is known:
            return False
        self._signed(found)
        return True

    def moved(self, silent: Entry) -> bool:
        known = self._known
        if known is None or known.entry.pool is not silent.pool:
            return True
        found = self._found_again(known)
        if found is known:
            return False
        self._signed(found)
        return True

    def close(self) -> None:
        if self._known:
            self._known.entry.pool.clear()

    def _signed(self, known: _Known) -> _Known:
        """With a new token, and kept."""
        with self._facts():
            entry = replace(known.entry, authorization=bearer(self._tokens.make()))
        self._known = replace(known, entry=entry, signed_at=self._clock.now())
        return self._known

    def _found_if_possible(self, known: _Known) -> _Known:
        try:
            return self._found()
        except LauncherDown:
            return known

    def _found_again(self, known: _Known) -> _Known:
        """What is known, if that was looked up a moment ago: a cluster may refuse everything for hours."""
        return known if self._clock.now() - self._looked_at < LOOK_AGAIN_SECONDS else self._found()

    def _found(self) -> _Known:
        """What is known already, if the cluster is the one of before."""
        self._looked_at = self._clock.now()
        with self._facts():
            cluster = self._eks.describe_cluster(name=self._cluster)["cluster"]
        address, encoded = cluster.get("endpoint", ""), cluster.get("certificateAuthority", {}).get("data", "")
        if not address or not encoded:
            raise LauncherDown(why=f"{self.name} is {cluster.get('status', 'not ready').lower()}")
        known = self._known
        if known and (known.entry.address, known.authority) == (address, encoded):
            return known
        return _Known(Entry(address, PoolManager(ssl_context=trusting(base64.b64decode(encoded).decode()))), encoded)

    @contextmanager
    def _facts(self) -> Iterator[None]:
        """What AWS says of it as our errors."""
        try:
            yield
        except NoCredentialsError as error:
            raise ClusterRefused(why=f"there are no credentials to ask {self.name} with") from error
        except ClientError as error:
            code = error.response["Error"]["Code"]
            kind = ClusterRefused if code in LASTING else LauncherDown
            raise kind(why=f"{self.name} cannot be looked up: {code}") from error
        except BotoCoreError as error:
            raise LauncherDown(why=f"{self.name} cannot be looked up: {type(error).__name__}") from error
