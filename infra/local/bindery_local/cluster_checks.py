"""Checks of the local runtime before it serves: the builder, and the cluster where sessions are Pods."""

from bindery.domain.errors import BuildServiceDown, LauncherDown
from bindery_local.adapters import LocalAdapters


def check_builder(adapters: LocalAdapters) -> None:
    """Raises SystemExit where what builds is not installed."""
    try:
        _ = adapters.builds.name
    except BuildServiceDown as down:
        raise SystemExit(f"Nothing can be built: {down.facts['why']}.") from None


def where(adapters: LocalAdapters) -> str:
    """Return cluster, namespace and gateway, in a line. Raises SystemExit, which says what is missing."""
    try:
        launcher = adapters.kubernetes
    except LauncherDown as down:
        raise SystemExit(f"Sessions cannot be started: {down.facts['why']}.") from None
    if missing := launcher.missing():
        raise SystemExit(missing)
    return launcher.where
