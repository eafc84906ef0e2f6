"""The table of hosts in the README, made from what each provider says of itself."""

from collections.abc import Iterable

from bindery.ports.repository_provider import Display

COLUMNS = ("in links", "host", "spec", "such as", "a ref may be", "kept of its answers")


def host_table(displays: Iterable[tuple[str, Display]]) -> str:
    """Markdown, a line for each provider, from (id, display)."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(_row(name, display) for name, display in displays)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(name: str, display: Display) -> tuple[str, ...]:
    example = f"`/v2/{name}/{display.example}`"
    return f"`{name}`", display.name, f"`{display.grammar}`", example, display.refs, display.kept
