"""Everything that can go wrong with a launch: one error type for each fact.

`Retryable` errors may pass by themselves: the step is tried again a few times. `Permanent` ones end the launch.
The sentences that people read are in `bindery.web.errors.catalog`, one table; here are only the facts that fill them.
Launches that failed are stored with the class's name: a renamed class loses their sentence.
"""

from typing import Self

Fact = str | int | float


class BinderyError(Exception):
    """A fact. `facts` are plain values (strings, numbers) that its sentence names; never a token, never a secret."""

    def __init__(self, **facts: Fact) -> None:
        super().__init__(f"{type(self).__name__} {facts}" if facts else type(self).__name__)
        self.facts = facts

    def without(self, secret: str) -> Self:
        """The same fact, for words that are not ours and may hold a secret."""
        told = {
            name: fact.replace(secret, "...") if isinstance(fact, str) else fact for name, fact in self.facts.items()
        }
        return type(self)(**told)


class Retryable(BinderyError):
    """May pass by itself."""


class Permanent(BinderyError):
    """Will not pass by itself."""


# What was asked


class BadSpec(Permanent):
    """The spec cannot be one of this provider's. Facts: spec, why."""


class UnknownProvider(Permanent):
    """No such provider. Facts: provider, known (comma-separated ids)."""


class BadRef(Permanent):
    """The ref could not be a name in any git repository. Facts: ref, why."""


class ForbiddenAddress(Permanent):
    """The address is private, loopback, link-local or otherwise not ours to ask. Facts: host."""


class BadAddress(Permanent):
    """Not an address that we can fetch from. Facts: url, why."""


class SpecBanned(Permanent):
    """The operator does not let this repository be launched. Facts: spec."""


class ForeignCommit(Permanent):
    """The commit is not known to be on a branch or tag of the repository, and the operator lets no other be launched. Facts: url, ref."""


class ClientBanned(Permanent):
    """The operator does not serve the client's network."""


class BadBuildToken(Permanent):
    """The build token is forged, for another spec, or was old when its launch was to be created. Facts: why."""


class CrossSite(Permanent):
    """A page of another site asked, and may not. Facts: site."""


class RateLimited(Permanent):
    """The client asked too often. Facts: limit, seconds (until it may ask again)."""


class TooManyStreams(Permanent):
    """The client watches as many launches as one client may. Facts: limit."""


class TooManySessions(Permanent):
    """The client has as many sessions as one client may. Facts: limit."""


class TooManyBuilds(Permanent):
    """As many builds as one client may have in line wait for their turn already. Facts: limit."""


class BadRequest(Permanent):
    """The request itself cannot be understood. Facts: why."""


class RequestTooLarge(Permanent):
    """The request's body has more bytes than we read. Facts: limit (such as "64 KB")."""


class UnknownAddress(Permanent):
    """A pasted address that leads to no repository. Facts: none."""


class UnknownDoi(UnknownAddress):
    """A pasted DOI that does not tell by its spelling where its record is. Facts: doi."""


class NotARepository(UnknownAddress):
    """A pasted address of a page that is known to be no repository. Facts: why (and what to do)."""


class MetricsClosed(Permanent):
    """The metrics are for the operator, and the client is not known as such. Facts: none."""


class MetricsNotReady(Retryable):
    """The metrics have not been rendered lately. Facts: none."""


class LaunchNotFound(Permanent):
    """No such launch, or not the asker's. Facts: none."""


class SessionNotFound(Permanent):
    """No launch of that session's id is known, or not any more. Facts: none."""


# The repository and its host


class RepositoryNotFound(Permanent):
    """The host knows no such repository, or it is private. Facts: url.

    gone: whether the host says so; else it only refuses to answer, which it may do to whoever asks too often.
    """

    gone = True


class RepositoryGone(RepositoryNotFound):
    """The host had the repository and has removed it. Facts: url."""


class RepositoryBlocked(RepositoryNotFound):
    """The host shows the repository to nobody, for legal reasons or for its own rules. Facts: url."""


class RepositoryEmpty(Permanent):
    """The repository is there and has no commits. Facts: url."""


class RecordNotFound(RepositoryNotFound):
    """The host has published no such record, or nobody registered the DOI. Facts: url."""


class RecordRestricted(RepositoryNotFound):
    """The record is there, and not open to everybody. Facts: url."""


class RecordWithdrawn(RepositoryNotFound):
    """The record was there, and its host has taken it back. Facts: url."""


class SecretGist(Permanent):
    """Only who has its address knows of it, and the operator does not let such ones be launched. Facts: spec."""


class RefNotFound(Permanent):
    """The host knows the repository, not this branch, tag or commit. Facts: spec, ref."""


class VersionNotFound(RefNotFound):
    """The host knows the record, not this version of it. Facts: spec, ref."""


class RepositoryTooLarge(Permanent):
    """More bytes or files than the limit. Facts: url, limit (in words, such as "500 MB")."""


class FileTooLarge(RepositoryTooLarge):
    """One file has more bytes than the limit for a file. Facts: url, file (its path, or "a file"), limit (such as "100 MiB")."""


class RepositoryUnusable(Permanent):
    """The content cannot be laid out or read. Facts: why."""


class HostLimited(Permanent):
    """The host asks us to come back later, and people with us. Facts: host, at (UTC seconds)."""


class HostBusy(HostLimited):
    """The host is down, and says when it is back. Facts: host, at (UTC seconds)."""


class HostTooSlow(Permanent):
    """The host did not say in time what the launch needs to know. Facts: host, seconds."""


class HostUnreachable(Retryable):
    """The host did not answer, in time or at all. Facts: host, why."""


class HostDown(HostUnreachable):
    """The host has not answered several times in a row, and is not asked for a while. Facts: host, since (UTC seconds)."""


# Builds


class CannotBuild(Permanent):
    """The engine here cannot do what a file asks for. Facts: file, needs, install."""


class BuildFailed(Permanent):
    """A step of the repository's own ended badly. Facts: step, why."""


class BuildTooLong(Permanent):
    """Over the limit. Facts: minutes."""


class BuildLost(Retryable):
    """The build service no longer knows the attempt. Facts: none."""


class BuildCrashed(Retryable):
    """The process that made the build ended before the build did, by no wish of an operator. Facts: none."""


class BuildsQueued(Permanent):
    """The launch's time was over before its build had its turn. Facts: minutes."""


class BuildAbandoned(Retryable):
    """The build's turn came, and nobody waited for it any more. Facts: none."""


class BuildStopped(Retryable):
    """The build was stopped while it ran, as no launch waited for it any more. Facts: none."""


class BuildServiceDown(Retryable):
    """The build service did not take the order. Facts: why."""


class BuildsRefused(BuildServiceDown):
    """The build service takes no more builds just now, and has begun nothing of this one. Facts: why."""


class PushFailed(Retryable):
    """The image was made, but its registry did not take it. Facts: registry, why."""


class ImageGone(Retryable):
    """The image was there and is no longer. Facts: image."""


# Sessions


class QuotaReached(Permanent):
    """All places are taken. Facts: limit."""


class RepositoryQuotaReached(Permanent):
    """All places of this repository are taken. Facts: limit, url."""


class OwnerQuotaReached(Permanent):
    """All places of the repository's owner are taken. Facts: limit, owner (its address)."""


class OwnerBuildsReached(Permanent):
    """As many builds of the repository's owner as may be in line wait for their turn already. Facts: limit, owner (its share's name)."""


class SessionDied(Retryable):
    """The session's server ended before it answered. Facts: why (its last log lines)."""


class SessionNotReady(Retryable):
    """The session's server did not answer in time. Facts: seconds."""


class ClusterFull(Permanent):
    """The cluster has no place for the session, and made none in time. Facts: why (such as "not enough memory")."""


class ImagePullFailed(Retryable):
    """The node could not fetch the session's image. Facts: why."""


class SessionOutOfMemory(Permanent):
    """The session's server used more memory than it may before it answered. Facts: limit (such as "2G")."""


class SessionEvicted(Retryable):
    """The cluster ended the session, as to save its node, or somebody deleted its Pod. Facts: why."""


class NodeLost(Retryable):
    """The node that the session was on went away. Facts: none."""


class SessionRefused(Permanent):
    """The cluster does not admit the session's objects, by its own rules. Facts: why."""


class ContentUnavailable(Permanent):
    """The session's files could not be brought to the commit asked for. Facts: ref, why."""


class SessionEnded(Permanent):
    """It was ready, and has ended since. Facts: reason."""


class LauncherDown(Retryable):
    """Sessions cannot be started just now. Facts: why."""


class ClusterRefused(LauncherDown):
    """Bindery has nothing to show that its cluster accepts: a person has to mend that. Facts: why."""


# Launches


class LaunchStopped(Permanent):
    """Whoever launched stopped it."""


class DeadlinePassed(Permanent):
    """It took longer than a launch may. Facts: minutes."""


class StepFailed(Permanent):
    """A message of this launch could not be handled, again and again. Facts: trouble."""


class StepCrashed(Permanent):
    """A step ended the process that ran it, as often as a step is begun. Facts: step (such as "looking at the repository")."""


class StepUnderWay(Retryable):
    """The step was begun as often as it may be, and may still run elsewhere. Facts: none."""


# The table


class Throttled(Retryable):
    """The table did not take the call: nothing was written."""


class Stale(Retryable):
    """Somebody else wrote first: nothing was written."""
