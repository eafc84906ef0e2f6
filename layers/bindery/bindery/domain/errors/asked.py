"""What is wrong with what was asked, or with whoever asked; with the repository, or with its host."""

from bindery.domain.errors.kinds import Permanent, Retryable

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


class SessionForgotten(Permanent):
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
