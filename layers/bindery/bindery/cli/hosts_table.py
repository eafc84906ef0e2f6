"""Table of hosts in infra/docs/hosts.md, made from each provider's display."""

from collections.abc import Iterable

from bindery.ports.repository_provider import Display

COLUMNS = ("provider", "host", "spec", "example", "ref", "kept in the cache")


def host_table(displays: Iterable[tuple[str, Display]]) -> str:
    """Return Markdown with a line for each provider, from (id, display)."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(_row(name, display) for name, display in displays)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(name: str, display: Display) -> tuple[str, ...]:
    example = f"`/v2/{name}/{display.example}`"
    return f"`{name}`", display.name, f"`{display.grammar}`", example, display.refs, display.kept
