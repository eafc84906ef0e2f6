"""Ratios, as every bench prints them."""

import statistics


def line(name: str, ours: list[float], theirs: list[float]) -> str:
    """The ratio of medians, and of ninth deciles."""
    deciles = [statistics.quantiles(times, n=10, method="inclusive")[8] for times in (ours, theirs)]
    ratio = statistics.median(ours) / statistics.median(theirs)
    seconds = f"{statistics.median(ours):.2f} s / {statistics.median(theirs):.2f} s"
    print(f"  {seconds}")
    return f"{name}: {ratio:.2f} (p90 {deciles[0] / deciles[1]:.2f}, n {len(ours)})"
