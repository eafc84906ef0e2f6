"""Presets: sets of settings for a community. An explicit setting overrides its preset."""

from collections.abc import Mapping
from types import MappingProxyType

PRESETS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        # EGI Replay: users work on projects and return to a session after a break.
        "egi": {
            "memory_guarantee": "2G",
            "memory_limit": "4G",
            "idle_seconds": "3600",
            "max_age_seconds": "0",
        },
        # mybinder.org: public use, short visits.
        "mybinder": {
            "memory_guarantee": "450M",
            "memory_limit": "2G",
            "cpu_guarantee": "0.01",
            "cpu_limit": "1",
            "idle_seconds": "600",
            "max_age_seconds": "21600",
        },
    }
)
