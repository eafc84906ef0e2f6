"""`bindery rules`: list, add and remove the rules that the table holds."""

import argparse
import re
from collections.abc import Iterable
from datetime import UTC, datetime

from pydantic import ValidationError

from bindery import bootstrap
from bindery.cli.plain_errors import plain_message
from bindery.state.rule_book import FRESH_SECONDS, Entry, Kind, RuleBook, RuleBookFull

UNITS = {"m": 60, "h": 3600, "d": 86400}
COLUMNS = ("id", "kind", "value", "quota", "ends", "why")


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `rules` and its own commands to the command line."""
    rules = commands.add_parser("rules", help="bans, allow-list and quotas that count without a deployment")
    actions = rules.add_subparsers(required=True, metavar="action")
    listing = actions.add_parser("list", help="every rule in the table; those of the settings are not among them")
    listing.set_defaults(run=lambda _: show_rules())
    adding = actions.add_parser("add", help="a rule, in place of one of the same kind and value")
    adding.add_argument("kind", choices=[kind.value for kind in Kind])
    adding.add_argument("value", help="a pattern such as '^gh/owner/', or a network such as 192.0.2.0/24")
    adding.add_argument("--quota", type=int, help="with kind quota: sessions of one repository at one time")
    adding.add_argument(
        "--for", dest="lasts", type=seconds, help="when it ends: 90m, 12h or 7d; else when it is removed"
    )
    adding.add_argument("--why", default="", help="for the one who reads the list")
    adding.set_defaults(run=lambda words: add_rule(words.kind, words.value, words.quota, words.lasts, words.why))
    removing = actions.add_parser("remove", help="a rule, by its id in the list")
    removing.add_argument("id")
    removing.set_defaults(run=lambda words: remove_rule(words.id))


def seconds(text: str) -> int:
    """Return the seconds of a duration such as `7d`. Raises ArgumentTypeError."""
    match = re.fullmatch(r"([1-9]\d{0,5})([mhd])", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: write 90m, 12h or 7d")
    return int(match[1]) * UNITS[match[2]]


def show_rules() -> str:
    """Return the rules as a table with tabs between its columns."""
    now = bootstrap.ports().clock.now()
    entries = list(_book().entries())
    return _table(entries, now) if entries else "The table holds no rules."


def add_rule(kind: str, value: str, quota: int | None, lasts: int | None, why: str) -> str:
    """Write the rule. Raises SystemExit with a sentence if the rule cannot be used."""
    now = bootstrap.ports().clock.now()
    until = now + lasts if lasts else None
    try:
        entry = Entry(kind=Kind(kind), value=value, quota=quota, why=why, created_at=now, expires_at=until)
        _book().add(entry)
    except ValidationError as error:
        raise SystemExit("\n".join(plain_message(each) for each in error.errors(include_url=False))) from None
    except RuleBookFull as error:
        raise SystemExit(str(error)) from None
    return f"{entry.id}: it counts within {FRESH_SECONDS} seconds. Remove it with: rules remove {entry.id}"


def remove_rule(entry_id: str) -> str:
    """Remove the rule. Raises SystemExit if no rule has that id."""
    if not _book().remove(entry_id):
        raise SystemExit(f"There is no rule {entry_id}: `rules list` shows all.")
    return f"{entry_id} is removed: that counts within {FRESH_SECONDS} seconds."


def _book() -> RuleBook:
    return bootstrap.system().rule_book


def _table(entries: Iterable[Entry], now: float) -> str:
    return "\n".join("\t".join(row) for row in (COLUMNS, *(_row(entry, now) for entry in entries)))


def _row(entry: Entry, now: float) -> tuple[str, ...]:
    ends = (
        "when removed"
        if entry.expires_at is None
        else datetime.fromtimestamp(entry.expires_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    )
    ended = "" if entry.counts(now) else " (ended)"
    return entry.id, entry.kind.value, entry.value, str(entry.quota or ""), ends + ended, entry.why
