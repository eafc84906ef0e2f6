"""Startup checks of the local runtime: the builder, and the cluster if sessions are Pods."""

from bindery.domain.errors import BuildServiceDown, LauncherDown
from bindery_local.adapters import LocalAdapters


def check_builder(adapters: LocalAdapters) -> None:
    """Raise SystemExit if the builder is not installed."""
    try:
        _ = adapters.builds.name
    except BuildServiceDown as down:
        raise SystemExit(f"Nothing can be built: {down.facts['why']}.") from None


def where(adapters: LocalAdapters) -> str:
    """Return cluster, namespace and gateway in one line. Raises SystemExit with a message that names the missing part."""
    try:
        launcher = adapters.kubernetes
    except LauncherDown as down:
        raise SystemExit(f"Sessions cannot be started: {down.facts['why']}.") from None
    if missing := launcher.missing():
        raise SystemExit(missing)
    return launcher.where
