"""Presets: settings that suit a community. What is set explicitly goes before them."""

from collections.abc import Mapping
from types import MappingProxyType

PRESETS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        # EGI Replay: people with projects, who come back after lunch.
        "egi": {
            "memory_guarantee": "2G",
            "memory_limit": "4G",
            "idle_seconds": "3600",
            "max_age_seconds": "0",
        },
        # mybinder.org: anybody, for a look.
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
