"""Ratios in the form that every bench prints."""

import statistics


def line(name: str, first: list[float], second: list[float]) -> str:
    """Return the ratio of medians, and of ninth deciles."""
    deciles = [statistics.quantiles(times, n=10, method="inclusive")[8] for times in (first, second)]
    ratio = statistics.median(first) / statistics.median(second)
    seconds = f"{statistics.median(first):.2f} s / {statistics.median(second):.2f} s"
    print(f"  {seconds}")
    return f"{name}: {ratio:.2f} (p90 {deciles[0] / deciles[1]:.2f}, n {len(first)})"
