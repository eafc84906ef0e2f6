"""The faces of what can go wrong with a session: a part of the one table in `bindery.web.errors`."""

from collections.abc import Mapping
from types import MappingProxyType

from bindery.domain import errors as e
from bindery.domain.errors import BinderyError
from bindery.web.face import Face

SESSION_FACES: Mapping[type[BinderyError], Face] = MappingProxyType(
    {
        e.QuotaReached: Face(429, "quota_reached", "Too many users on this BinderHub! Try again soon."),
        e.RepositoryQuotaReached: Face(
            429, "repository_quota_reached", "Too many users running {url}! Try again soon."
        ),
        e.OwnerQuotaReached: Face(
            429, "owner_quota_reached", "Too many users running repositories of {owner}! Try again soon."
        ),
        e.OwnerBuildsReached: Face(
            429,
            "owner_builds_reached",
            "{limit} builds of repositories of {owner} wait for their turn, as many as may. Launch again when one of them has begun.",
        ),
        e.SessionDied: Face(
            502,
            "session_died",
            "The session's server ended before it answered. Launch again; if it ends again, "
            "look for the reason in the repository's start script and packages.",
        ),
        e.SessionNotReady: Face(
            504,
            "session_not_ready",
            "The session's server did not answer within {seconds}. Launch again; "
            "if that does not help, tell whoever runs this Bindery.",
        ),
        e.NoRoom: Face(
            503,
            "no_room",
            "The cluster has no room for the session: {why}. Launch again in a while; "
            "if that does not help, tell whoever runs this Bindery.",
            "The cluster has no room for the session yet: {why}. Waiting for it to make some...",
        ),
        e.ImagePullFailed: Face(
            502,
            "image_pull_failed",
            "The session's image could not be fetched to where it runs: {why}. Launch again in a few minutes; "
            "if that does not help, tell whoever runs this Bindery.",
            "Fetching the session's image to where it runs meets trouble: {why}. Trying again...",
        ),
        e.SessionOutOfMemory: Face(
            422,
            "session_out_of_memory",
            "The session's server used more memory than it may ({limit}) before it answered, and was ended. "
            "Look in the repository's start script for what loads so much.",
        ),
        e.SessionEvicted: Face(503, "session_evicted", "The cluster ended the session: {why}. Launch again."),
        e.NodeLost: Face(503, "node_lost", "The machine that the session ran on went away. Launch again."),
        e.SessionRefused: Face(
            500,
            "session_refused",
            "The cluster does not admit the session: {why}. That is for whoever runs this Bindery to mend: tell them.",
        ),
        e.ContentNotHad: Face(
            502,
            "content_not_had",
            "The session's files could not be brought to {ref}: {why}. Launch again; "
            "if that does not help, look whether its repository can be reached by everybody.",
        ),
        e.SessionEnded: Face(
            410, "session_ended", "This launch's session has ended: {reason}. Launch again to get a new one."
        ),
        e.LauncherDown: Face(
            503, "launcher_down", "Sessions cannot be started just now: {why}. Launch again in a few minutes."
        ),
        e.ClusterRefused: Face(
            503,
            "cluster_refused",
            "This Bindery cannot get into the cluster that its sessions run on. Whoever runs it has been told: "
            "launch again in a while.",
            "This Bindery cannot get into the cluster that its sessions run on. Whoever runs it has been told...",
        ),
    }
)
