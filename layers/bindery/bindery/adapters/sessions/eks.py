"""How a function is known to an EKS cluster: by its own role, in a call that it signs and the cluster makes.

The token is the address of AWS' "who am I", signed by us together with the cluster's name; the cluster asks it, and so
learns the role. Nothing is sent to make one.
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError
from botocore.model import ServiceId
from botocore.regions import EndpointResolver
from botocore.session import Session
from botocore.signers import RequestSigner
from urllib3 import PoolManager

from bindery.adapters.sessions.access import Entry, bearer, trusting
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


class EksAccess:
    """The cluster of this name in the session's region.

    Where it is and its authority are asked once, and again when it refuses us; a token is kept for 14 minutes.
    """

    def __init__(self, cluster: str, eks: "EKSClient", session: Session, clock: Clock) -> None:
        self.name = f"EKS cluster {cluster}"
        self._cluster = cluster
        self._eks = eks
        self._tokens = EksTokens(cluster, session)
        self._clock = clock
        self._authority = ""
        self._entry: Entry | None = None
        self._made_at = float("-inf")

    def entry(self) -> Entry:
        if self._entry is None:
            self._entry = self._found()
        if self._clock.now() - self._made_at >= FRESH_SECONDS:
            self._entry = self._signed(self._entry)
        return self._entry

    def renewed(self, refused: Entry) -> bool:
        if self._entry is not refused:  # somebody else was here meanwhile
            return True
        young = self._clock.now() - self._made_at < ANEW_SECONDS
        found = self._found()
        if young and found.pool is refused.pool:
            return False
        self._entry = self._signed(found)
        return True

    def close(self) -> None:
        if self._entry:
            self._entry.pool.clear()

    def _signed(self, entry: Entry) -> Entry:
        with self._facts():
            signed = replace(entry, authorization=bearer(self._tokens.make()))
        self._made_at = self._clock.now()
        return signed

    def _found(self) -> Entry:
        """With the pool of before if the cluster is the one of before."""
        with self._facts():
            cluster = self._eks.describe_cluster(name=self._cluster)["cluster"]
        address, encoded = cluster.get("endpoint", ""), cluster.get("certificateAuthority", {}).get("data", "")
        if not address or not encoded:
            raise LauncherDown(why=f"{self.name} is {cluster.get('status', 'not ready').lower()}")
        if self._entry and (self._entry.address, self._authority) == (address, encoded):
            return self._entry
        self._authority = encoded
        return Entry(address, PoolManager(ssl_context=trusting(base64.b64decode(encoded).decode())))

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
