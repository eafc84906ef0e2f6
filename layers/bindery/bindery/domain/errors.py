"""Errors of launches and requests: one error type for each cause.

After a `Retryable` error the step is retried a few times. A `Permanent` error fails the launch. Exceptions: after a short HostLimited the
step is retried; Throttled, Stale and StepUnderWay are passed on to the queue, which delivers the message again.
The sentences for visitors are in `bindery.web.errors.catalog`; the errors here have only the facts for these sentences.
A failed launch is stored with the name of its error class. If you rename a class, launches stored under the old name get no sentence.
"""

from typing import Self

Fact = str | int | float


class BinderyError(Exception):
    """Base class of all errors. `facts`: strings and numbers for its sentence; they never contain a token or another secret."""

    def __init__(self, **facts: Fact) -> None:
        super().__init__(f"{type(self).__name__} {facts}" if facts else type(self).__name__)
        self.facts = facts

    def without(self, secret: str) -> Self:
        """Return the error with `secret` masked in its facts, for facts that quote the output of another program."""
        masked = {
            name: fact.replace(secret, "...") if isinstance(fact, str) else fact for name, fact in self.facts.items()
        }
        return type(self)(**masked)


class Retryable(BinderyError):
    """Error that a retry may resolve."""


class Permanent(BinderyError):
    """Error that a retry does not resolve."""


# The request


class BadSpec(Permanent):
    """The spec is not valid for this provider. Facts: spec, why."""


class UnknownProvider(Permanent):
    """The provider does not exist. Facts: provider, known (comma-separated ids)."""


class BadRef(Permanent):
    """The ref is not a valid name in a git repository. Facts: ref, why."""


class ForbiddenAddress(Permanent):
    """The address is private, loopback, link-local or forbidden for another reason. Facts: host."""


class BadAddress(Permanent):
    """Bindery cannot fetch from this address. Facts: url, why."""


class SpecBanned(Permanent):
    """The operator's rules do not allow launches of this repository. Facts: spec."""


class ForeignCommit(Permanent):
    """Bindery cannot confirm that the commit is on a branch or tag of the repository. The operator's rules require it.

    Facts: url, ref.
    """


class ClientBanned(Permanent):
    """The operator's rules ban the client's network. Facts: none."""


class BadBuildToken(Permanent):
    """The build token is forged, has expired, or was made for another spec. Facts: why."""


class CrossSite(Permanent):
    """The request comes from a page of another site, which is not allowed. Facts: site."""


class RateLimited(Permanent):
    """The client sent too many requests. Facts: limit, seconds (until the client may send the next request)."""


class TooManyStreams(Permanent):
    """The client has as many open event streams as allowed. Facts: limit."""


class TooManySessions(Permanent):
    """The client has as many sessions as allowed. Facts: limit."""


class TooManyBuilds(Permanent):
    """The client has as many builds in the queue as allowed. Facts: limit."""


class BadRequest(Permanent):
    """The request is malformed. Facts: why."""


class RequestTooLarge(Permanent):
    """The request's body is larger than the limit. Facts: limit (such as "64 KB")."""


class UnknownAddress(Permanent):
    """The pasted address does not lead to a repository. Facts: none."""


class UnknownDoi(UnknownAddress):
    """The pasted DOI does not show which provider has its record. Facts: doi."""


class NotARepository(UnknownAddress):
    """The pasted address belongs to a page that is not a repository. Facts: why (with advice for the visitor)."""


class MetricsClosed(Permanent):
    """The metrics are for the operator, and the client is not authenticated as the operator. Facts: none."""


class MetricsNotReady(Retryable):
    """The metrics have not been rendered recently. Facts: none."""


class LaunchNotFound(Permanent):
    """The launch does not exist, or belongs to another client. Facts: none."""


class SessionNotFound(Permanent):
    """No launch has this session's id, or its record has expired. Facts: none."""


# The repository and its host


class RepositoryNotFound(Permanent):
    """The repository does not exist at the host, or it is private. Facts: url.

    gone: False only if the response does not show whether the repository exists. A host may send such a response after too many requests.
    """

    gone = True


class RepositoryGone(RepositoryNotFound):
    """The host has removed the repository. Facts: url."""


class RepositoryBlocked(RepositoryNotFound):
    """The host has blocked the repository, for legal reasons or because of its own rules. Facts: url."""


class RepositoryEmpty(Permanent):
    """The repository exists and has no commits. Facts: url."""


class RecordNotFound(RepositoryNotFound):
    """The host has not published such a record, or the DOI is not registered. Facts: url."""


class RecordRestricted(RepositoryNotFound):
    """The record exists, but it is not public. Facts: url."""


class RecordWithdrawn(RepositoryNotFound):
    """The record existed, and its host has withdrawn it. Facts: url."""


class SecretGist(Permanent):
    """The gist is secret (unlisted), and the operator's rules do not allow launches of secret gists. Facts: spec."""


class RefNotFound(Permanent):
    """The repository exists, but not this branch, tag or commit. Facts: spec, ref."""


class VersionNotFound(RefNotFound):
    """The record exists, but not this version. Facts: spec, ref."""


class RepositoryTooLarge(Permanent):
    """The repository has more bytes or files than the limit. Facts: url, limit (in words, such as "500 MB")."""


class FileTooLarge(RepositoryTooLarge):
    """A file has more bytes than the limit for a file. Facts: url, file (its path, or "a file"), limit (such as "100 MiB")."""


class RepositoryUnusable(Permanent):
    """The repository's content cannot be written to disk or read. Facts: why."""


class HostLimited(Permanent):
    """The host has rate-limited Bindery. Bindery retries if the wait is short; otherwise the launch fails.

    Facts: host, at (UTC seconds).
    """


class HostBusy(HostLimited):
    """The host is down or in maintenance. Facts: host, at (UTC seconds: when the host expects to be available again)."""


class HostTooSlow(Permanent):
    """The host's responses took longer than the step's timeout. Facts: host, seconds."""


class HostUnreachable(Retryable):
    """The host did not answer, or not in time. Facts: host, why."""


class HostDown(HostUnreachable):
    """The host failed to answer several times in a row; no requests are sent to it for a while. Facts: host, since (UTC seconds)."""


# Builds


class CannotBuild(Permanent):
    """The build engine does not support a requirement of a file. Facts: file, needs, install."""


class BuildFailed(Permanent):
    """A build step of the repository failed. Facts: step, why."""


class BuildTooLong(Permanent):
    """The build exceeded its timeout. Facts: minutes."""


class BuildLost(Retryable):
    """The build service has no record of the attempt, or does not report how it ended. Facts: none."""


class BuildCrashed(Retryable):
    """The process that ran the build ended during the build. Facts: none."""


class BuildsQueued(Permanent):
    """The launch's deadline passed while its build was in the queue. Facts: minutes."""


class BuildAbandoned(Retryable):
    """The build reached the head of the queue when no launch waited for it any more. Facts: none."""


class BuildStopped(Retryable):
    """The running build was stopped because no launch waited for it any more. Facts: none."""


class BuildServiceDown(Retryable):
    """The build service did not accept the build order. Facts: why."""


class BuildsRefused(BuildServiceDown):
    """The build service accepts no more builds at the moment, and has not started this build. Facts: why."""


class PushFailed(Retryable):
    """The image was built, but the registry did not accept it. Facts: registry, why."""


class ImageGone(Retryable):
    """The image does not exist any more. Facts: image."""


# Sessions


class QuotaReached(Permanent):
    """The quota for the total number of sessions is used up. Facts: limit."""


class RepositoryQuotaReached(Permanent):
    """The repository's quota of sessions is used up. Facts: limit, url."""


class OwnerQuotaReached(Permanent):
    """The quota of sessions for the repository's owner is used up. Facts: limit, owner (its address)."""


class OwnerBuildsReached(Permanent):
    """The repository's owner has as many builds in the queue as allowed. Facts: limit, owner (its share's name)."""


class SessionDied(Retryable):
    """The session's server ended before it answered. Facts: why (its last log lines)."""


class SessionNotReady(Retryable):
    """The session's server did not answer in time. Facts: seconds."""


class ClusterFull(Permanent):
    """The cluster has no room for the session, and did not free any in time. Facts: why (such as "not enough memory")."""


class ImagePullFailed(Retryable):
    """The node could not pull the session's image. Facts: why."""


class SessionOutOfMemory(Permanent):
    """The session's server exceeded its memory limit before it answered. Facts: limit (such as "2G")."""


class SessionEvicted(Retryable):
    """The cluster evicted the session (for example under node pressure), or its Pod was deleted. Facts: why."""


class NodeLost(Retryable):
    """The node that ran the session is gone. Facts: none."""


class SessionRefused(Permanent):
    """The cluster's admission rules reject the session's objects. Facts: why."""


class ContentUnavailable(Permanent):
    """The session's files could not be set to the requested commit. Facts: ref, why."""


class SessionEnded(Permanent):
    """The launch's session has ended or is being stopped. Facts: reason."""


class LauncherDown(Retryable):
    """Sessions cannot be started at the moment. Facts: why."""


class ClusterRefused(LauncherDown):
    """The cluster does not accept Bindery's credentials; an operator has to fix them. Facts: why."""


# Launches


class LaunchStopped(Permanent):
    """The visitor stopped the launch. Facts: none."""


class DeadlinePassed(Permanent):
    """The launch passed its deadline. Facts: minutes."""


class StepFailed(Permanent):
    """A message of this launch was delivered as often as its queue allows, and failed each time.

    Facts: trouble (the name of an error class, or words).
    """


class StepCrashed(Permanent):
    """The step ended its process at each of its starts, and may not be started again. Facts: step (such as "looking at the repository")."""


class StepUnderWay(Retryable):
    """The step was started as often as allowed, and one start may still be running. Facts: none."""


# The table


class Throttled(Retryable):
    """The table did not accept the call; the table is unchanged. Facts: none."""


class Stale(Retryable):
    """Another process wrote the item first; the table is unchanged. Facts: none."""
