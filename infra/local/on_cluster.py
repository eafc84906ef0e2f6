"""What the local runtime does where sessions are Pods: says which cluster they are on, or what is missing there."""

from bindery import bootstrap
from bindery.domain.errors import BuildServiceDown, LauncherDown
from bindery.ports.session_launcher import SessionLauncher


def check_builder() -> None:
    """Raises SystemExit where what builds is not installed."""
    try:
        _ = bootstrap.builds().name
    except BuildServiceDown as down:
        raise SystemExit(f"Nothing can be built: {down.facts['why']}.") from None


def where() -> str:
    """Cluster, namespace and gateway, in a line. Raises SystemExit, which says what is missing."""
    from bindery.adapters.sessions.kubernetes import KubernetesSessions

    try:
        launcher = bootstrap.launcher()
    except LauncherDown as down:
        raise SystemExit(f"Sessions cannot be started: {down.facts['why']}.") from None
    assert isinstance(launcher, KubernetesSessions)  # noqa: S101  # nothing else is isolated
    if missing := launcher.missing():
        raise SystemExit(missing)
    return launcher.where


def close(launcher: SessionLauncher) -> None:
    """Lets its connections go. Sessions that were not ended live on."""
    if not are_elsewhere():  # the import below takes longer than all else there is to do at the end
        return
    from bindery.adapters.sessions.kubernetes import KubernetesSessions

    if isinstance(launcher, KubernetesSessions):
        launcher.close()


def are_elsewhere() -> bool:
    """Whether sessions run elsewhere than on this machine, and go on while Bindery does not."""
    return bootstrap.system().ports.isolated
