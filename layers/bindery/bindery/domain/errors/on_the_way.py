"""What can go wrong with a launch on its way: with its build, its session, itself and the table."""

from bindery.domain.errors.kinds import Permanent, Retryable

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


class BuildUnwanted(Retryable):
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


class NoRoom(Permanent):
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


class ContentNotHad(Permanent):
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


class StepLost(Permanent):
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
