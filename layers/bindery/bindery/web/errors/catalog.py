"""The error catalogue: for each error that can end a launch or a request, its status, code and sentence."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bindery.domain import errors as e
from bindery.domain.errors import BinderyError


@dataclass(frozen=True)
class CatalogEntry:
    """Entry of the error catalogue.

    status: HTTP. code: for programs. sentence: for people; `{fact}` stands for the error's fact of that name.

    meanwhile: the sentence while the launch is tried again.
    """

    status: int
    code: str
    sentence: str
    meanwhile: str = ""


GENERAL = CatalogEntry(
    500,
    "internal",
    "Something went wrong on our side. Please launch again; if it happens again, tell whoever runs this Bindery.",
)


CATALOG: Mapping[type[BinderyError], CatalogEntry] = MappingProxyType(
    {
        # The request
        e.BadSpec: CatalogEntry(400, "bad_spec", "{spec} does not name a repository: {why}. Check the link."),
        e.UnknownProvider: CatalogEntry(
            404, "unknown_provider", "There is no kind of repository called {provider} here. Known are: {known}."
        ),
        e.BadRef: CatalogEntry(
            400, "bad_ref", "{ref} cannot be the name of a branch, tag or commit: {why}. Check the link."
        ),
        e.ForbiddenAddress: CatalogEntry(
            403,
            "forbidden_address",
            "Repositories are not fetched from {host}: it is a private or reserved address. "
            "Whoever runs this Bindery can allow it: its log says how.",
        ),
        e.BadAddress: CatalogEntry(400, "bad_address", "{url} cannot be fetched: {why}. Check the link."),
        e.SpecBanned: CatalogEntry(
            403,
            "spec_banned",
            "{spec} may not be launched here. If you think it should be, tell whoever runs this Bindery.",
        ),
        e.ForeignCommit: CatalogEntry(
            403,
            "foreign_commit",
            "{ref} is not known to be on a branch or a tag of {url} itself: it may come from a pull request or from a fork. "
            "Only branches and tags are launched here. Launch a branch or a tag, or the fork's own repository.",
        ),
        e.ClientBanned: CatalogEntry(
            403,
            "client_banned",
            "Requests from your network are not served here. If that is a mistake, tell whoever runs this Bindery.",
        ),
        e.BadBuildToken: CatalogEntry(
            403,
            "bad_build_token",
            "This page's permit to launch is not valid: {why}. Load the launch page again and launch from there.",
        ),
        e.CrossSite: CatalogEntry(
            403,
            "cross_site",
            "{site} tried to start a launch, and pages of other sites may not start code here. "
            "Open the link yourself to launch it.",
        ),
        e.RateLimited: CatalogEntry(
            429, "rate_limited", "You have launched too often (limit: {limit}). Try again in {seconds}."
        ),
        e.TooManyStreams: CatalogEntry(
            429,
            "too_many_streams",
            "From your network {limit} launches are watched at this moment, as many as may be. Close pages that wait for a launch "
            "and try again, or ask the API how a launch stands: that needs no place.",
        ),
        e.TooManySessions: CatalogEntry(
            429,
            "too_many_sessions",
            "From your network {limit} sessions run at this moment, as many as may be. End one that is no longer needed "
            "(File > Shut Down) and launch again. If many people share your network, ask whoever runs this Bindery for more.",
        ),
        e.TooManyBuilds: CatalogEntry(
            429,
            "too_many_builds",
            "{limit} builds that were launched from your network wait for their turn, as many as may. "
            "Launch again when one of them has begun.",
        ),
        e.BadRequest: CatalogEntry(400, "bad_request", "The request cannot be understood: {why}."),
        e.RequestTooLarge: CatalogEntry(413, "request_too_large", "The request is larger than it may be ({limit})."),
        e.UnknownAddress: CatalogEntry(
            404,
            "unknown_address",
            "This address leads to no repository that is known here. Paste the one of a repository, or of a file, folder, "
            "branch, tag or commit in it.",
        ),
        e.UnknownDoi: CatalogEntry(
            404,
            "unknown_doi",
            "{doi} does not tell by its spelling where its record is. Open /v2/doi/{doi} on this Bindery: "
            "it asks, and leads on to the record if that can be launched.",
        ),
        e.NotARepository: CatalogEntry(404, "not_a_repository", "This page is no repository: {why}."),
        e.MetricsClosed: CatalogEntry(
            403,
            "metrics_closed",
            "The metrics are for the operator of this Bindery. Send the token that the operator has set for them as "
            "`Authorization: Bearer ...`, or ask from a network that the operator has named.",
        ),
        e.MetricsNotReady: CatalogEntry(
            503,
            "metrics_not_ready",
            "The metrics are rendered by a timer, and have not been lately. Ask again in a minute.",
        ),
        e.LaunchNotFound: CatalogEntry(
            404, "launch_not_found", "There is no such launch, or it is somebody else's. Launch again to get a new one."
        ),
        e.SessionNotFound: CatalogEntry(
            404,
            "session_forgotten",
            "Nothing is known here of this session, or not any more. "
            "Launch again with the link or the badge that first brought you to it.",
        ),
        # The repository and its host
        e.RepositoryNotFound: CatalogEntry(
            404,
            "repository_not_found",
            "There is no repository at {url}, or it is private. Check its spelling, and that everybody may read it.",
        ),
        e.RepositoryGone: CatalogEntry(
            410, "repository_gone", "The repository at {url} was there and has been removed by its host or its owner."
        ),
        e.RepositoryBlocked: CatalogEntry(
            451,
            "repository_blocked",
            "The repository at {url} is blocked by its host, for legal reasons or for the host's own rules. Its page says more.",
        ),
        e.RepositoryEmpty: CatalogEntry(
            404, "repository_empty", "The repository at {url} has no commits yet. Push one, then launch again."
        ),
        e.RecordNotFound: CatalogEntry(
            404,
            "record_not_found",
            "There is no published record at {url}. Check its spelling; a draft, or a DOI that is only reserved, "
            "can be launched once the record is published.",
        ),
        e.RecordRestricted: CatalogEntry(
            403,
            "record_restricted",
            "The record at {url} is not open to everybody: it is restricted, under embargo or not published yet. "
            "Its authors can open its files there; launch again once everybody may download them.",
        ),
        e.RecordWithdrawn: CatalogEntry(
            410,
            "record_withdrawn",
            "The record at {url} has been withdrawn by its host. Its page says why; "
            "look there for another version, or ask its authors for one.",
        ),
        e.SecretGist: CatalogEntry(
            403,
            "secret_gist",
            "{spec} is a secret gist, and only public ones are launched here. Make it public, then launch again; "
            "or ask whoever runs this Bindery to let secret ones be launched.",
        ),
        e.RefNotFound: CatalogEntry(
            404,
            "ref_not_found",
            "{spec}: there is no branch, tag or commit called {ref}. Check its spelling.",
        ),
        e.VersionNotFound: CatalogEntry(
            404,
            "version_not_found",
            "{spec} has no published version {ref}. Check its number, or leave it out to get the newest.",
        ),
        e.RepositoryTooLarge: CatalogEntry(
            422,
            "repository_too_large",
            "{url} is too large to be launched here (limit: {limit}). Launch a smaller repository, "
            "with a notebook that fetches what it needs of the data.",
        ),
        e.FileTooLarge: CatalogEntry(
            422,
            "file_too_large",
            "{url} holds {file}, which is too large to be launched here (limit for one file: {limit}). Keep the file elsewhere, "
            "and let a notebook fetch it.",
        ),
        e.RepositoryUnusable: CatalogEntry(
            422, "repository_unusable", "The repository cannot be used: {why}. Change that there, then launch again."
        ),
        e.HostLimited: CatalogEntry(
            429,
            "host_limited",
            "{host} has been asked too often and lets us ask again at {at}. Launch again then.",
            meanwhile="{host} has been asked too often and lets us ask again at {at}: waiting until then.",
        ),
        e.HostBusy: CatalogEntry(
            503,
            "host_busy",
            "{host} is down or in maintenance and expects to be back at {at}. Launch again then.",
            meanwhile="{host} is down or in maintenance and expects to be back at {at}: waiting until then.",
        ),
        e.HostTooSlow: CatalogEntry(
            504,
            "host_too_slow",
            "{host} did not say within {seconds} what the launch needs to know. Launch again in a while.",
        ),
        e.HostUnreachable: CatalogEntry(
            502, "host_unreachable", "{host} cannot be reached: {why}. Launch again in a while."
        ),
        e.HostDown: CatalogEntry(
            502, "host_down", "{host} has not answered since {since}. Launch again in a few minutes."
        ),
        # Builds
        e.CannotBuild: CatalogEntry(
            422, "cannot_build", "{file} asks for {needs}, which is missing here: install {install}."
        ),
        e.BuildFailed: CatalogEntry(
            422,
            "build_failed",
            "The build failed ({step}): {why}. The log says more; once that is mended in the repository, launch again.",
        ),
        e.BuildTooLong: CatalogEntry(
            422,
            "build_too_long",
            "The build took longer than it may ({minutes}) and was stopped. "
            "Ask for fewer packages, or for ones that need no compiling.",
        ),
        e.BuildLost: CatalogEntry(
            502, "build_lost", "The build was lost before it ended. Launch again to start it anew."
        ),
        e.BuildCrashed: CatalogEntry(
            502,
            "build_crashed",
            "The machine that built this environment stopped during the build, twice. Launch again later; "
            "if that does not help, ask the operator to look at Bindery's log.",
        ),
        e.BuildsQueued: CatalogEntry(
            503,
            "builds_queued",
            "Others were being built all the time: after {minutes} this repository's turn had not come. "
            "It still has its place in line; launch again to go on waiting.",
        ),
        e.BuildAbandoned: CatalogEntry(
            503, "build_unwanted", "The build was given up when nobody waited for it any more. Launch again."
        ),
        e.BuildStopped: CatalogEntry(
            503,
            "build_stopped",
            "The build was stopped when no launch waited for it any more. Launch again to build anew.",
        ),
        e.BuildServiceDown: CatalogEntry(
            503, "build_service_down", "Nothing can be built just now: {why}. Launch again in a few minutes."
        ),
        e.BuildsRefused: CatalogEntry(
            503,
            "builds_refused",
            "The build service takes no more builds just now: {why}. Launch again later; "
            "if that does not help, tell whoever runs this Bindery.",
        ),
        e.PushFailed: CatalogEntry(
            502,
            "push_failed",
            "The environment was built, but {registry} did not take its image: {why}. "
            "Launch again in a few minutes: most of the work need not be done again.",
        ),
        e.ImageGone: CatalogEntry(
            503,
            "image_gone",
            "The environment was built, but is no longer there. Launch again to have it built anew.",
        ),
        # Sessions
        e.QuotaReached: CatalogEntry(429, "quota_reached", "Too many users on this BinderHub! Try again soon."),
        e.RepositoryQuotaReached: CatalogEntry(
            429, "repository_quota_reached", "Too many users running {url}! Try again soon."
        ),
        e.OwnerQuotaReached: CatalogEntry(
            429, "owner_quota_reached", "Too many users running repositories of {owner}! Try again soon."
        ),
        e.OwnerBuildsReached: CatalogEntry(
            429,
            "owner_builds_reached",
            "{limit} builds of repositories of {owner} wait for their turn, as many as may. Launch again when one of them has begun.",
        ),
        e.SessionDied: CatalogEntry(
            502,
            "session_died",
            "The session's server ended before it answered. Launch again; if it ends again, "
            "look for the reason in the repository's start script and packages.",
        ),
        e.SessionNotReady: CatalogEntry(
            504,
            "session_not_ready",
            "The session's server did not answer within {seconds}. Launch again; "
            "if that does not help, tell whoever runs this Bindery.",
        ),
        e.ClusterFull: CatalogEntry(
            503,
            "no_room",
            "The cluster has no room for the session: {why}. Launch again in a while; "
            "if that does not help, tell whoever runs this Bindery.",
            "The cluster has no room for the session yet: {why}. Waiting for it to make some...",
        ),
        e.ImagePullFailed: CatalogEntry(
            502,
            "image_pull_failed",
            "The session's image could not be fetched to where it runs: {why}. Launch again in a few minutes; "
            "if that does not help, tell whoever runs this Bindery.",
            "Fetching the session's image to where it runs meets trouble: {why}. Trying again...",
        ),
        e.SessionOutOfMemory: CatalogEntry(
            422,
            "session_out_of_memory",
            "The session's server used more memory than it may ({limit}) before it answered, and was ended. "
            "Look in the repository's start script for what loads so much.",
        ),
        e.SessionEvicted: CatalogEntry(503, "session_evicted", "The cluster ended the session: {why}. Launch again."),
        e.NodeLost: CatalogEntry(503, "node_lost", "The machine that the session ran on went away. Launch again."),
        e.SessionRefused: CatalogEntry(
            500,
            "session_refused",
            "The cluster does not admit the session: {why}. That is for whoever runs this Bindery to mend: tell them.",
        ),
        e.ContentUnavailable: CatalogEntry(
            502,
            "content_not_had",
            "The session's files could not be brought to {ref}: {why}. Launch again; "
            "if that does not help, look whether its repository can be reached by everybody.",
        ),
        e.SessionEnded: CatalogEntry(
            410, "session_ended", "This launch's session has ended: {reason}. Launch again to get a new one."
        ),
        e.LauncherDown: CatalogEntry(
            503, "launcher_down", "Sessions cannot be started just now: {why}. Launch again in a few minutes."
        ),
        e.ClusterRefused: CatalogEntry(
            503,
            "cluster_refused",
            "This Bindery has no access to the cluster of its sessions. Its operator has been informed: "
            "launch again in a while.",
            "This Bindery has no access to the cluster of its sessions. Its operator has been informed...",
        ),
        # Launches
        e.LaunchStopped: CatalogEntry(
            410, "launch_stopped", "The launch was stopped by whoever started it. Launch again to get a new one."
        ),
        e.DeadlinePassed: CatalogEntry(
            504,
            "deadline_passed",
            "The launch took longer than it may ({minutes}) and was given up. Launch again; "
            "if that does not help, tell whoever runs this Bindery.",
        ),
        e.StepFailed: CatalogEntry(
            500,
            "step_lost",
            "The launch met the same trouble again and again and was given up ({trouble}). Launch again; "
            "if that does not help, tell whoever runs this Bindery.",
        ),
        e.StepCrashed: CatalogEntry(
            500,
            "step_crashed",
            "The launch was given up: {step} crashed twice here, and is not tried again. "
            "Tell whoever runs this Bindery.",
        ),
        e.StepUnderWay: CatalogEntry(
            503, "step_under_way", "The launch is still being worked on. Try again in a minute."
        ),
        # The table
        e.Throttled: CatalogEntry(503, "throttled", "Nothing can be recorded here just now. Try again in a minute."),
        e.Stale: CatalogEntry(503, "stale", "Too much happened here at the same time. Try again in a minute."),
    }
)
