"""Render errors for people and programs: the catalogue's sentence, with the error's facts filled in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from bindery.domain import errors as e
from bindery.domain.errors import BinderyError, Fact
from bindery.domain.failure import Failure
from bindery.web.errors.catalog import CATALOG, GENERAL
from bindery.web.errors.text import last_lines, one_line


@dataclass(frozen=True)
class ErrorMessage:
    """Rendered error of a response. status: HTTP. code: for programs. message: plain text, which templates escape for HTML."""

    status: int
    code: str
    message: str


BY_KIND: Mapping[str, type[BinderyError]] = MappingProxyType({error.__name__: error for error in CATALOG})


def error_message(failure: Failure | BinderyError) -> ErrorMessage:
    """Return the response's form of a failure. A kind that this version does not have gets the general entry."""
    stored = failure if isinstance(failure, Failure) else Failure.of(failure)
    kind = BY_KIND.get(stored.kind)
    entry = CATALOG[kind] if kind else GENERAL
    trouble = {"trouble": _meaning(stored.facts["trouble"])} if "trouble" in stored.facts else {}
    message = filled(entry.sentence, {**stored.facts, **trouble})
    if kind is e.SessionDied and (lines := last_lines(str(stored.facts.get("why", "")))):
        message = f"{message} Its last words:\n{lines}"
    return ErrorMessage(entry.status, entry.code, message)


def waiting_message(failure: Failure) -> str:
    """Return a sentence for a launch that is being tried again."""
    kind = BY_KIND.get(failure.kind)
    meanwhile = CATALOG[kind].meanwhile if kind else ""
    return filled(meanwhile, failure.facts) if meanwhile else error_message(failure).message


def _meaning(fact: Fact) -> Fact:
    """Return the sentence, up to its advice, of an error that a fact names by its type. Other facts stay as they are."""
    kind = BY_KIND.get(str(fact))
    if kind is None or kind is e.StepFailed:
        return fact
    return filled(CATALOG[kind].sentence, {}).partition(". ")[0].partition(": no reason")[0]


# Words for a fact that is missing: the error was stored by an older version, or by a newer one.
MISSING: Mapping[str, str] = MappingProxyType(
    {
        "at": "a later time",
        "file": "a file of the repository",
        "host": "the repository's host",
        "install": "what it asks for",
        "known": "listed on the start page",
        "limit": "as set here",
        "minutes": "as set here",
        "needs": "something",
        "provider": "that",
        "registry": "the registry",
        "reason": "it was stopped",
        "ref": "that",
        "seconds": "a while",
        "since": "some time ago",
        "site": "another site",
        "spec": "the repository",
        "step": "one of its steps",
        "trouble": "its kind is not known",
        "url": "the address",
        "why": "no reason is known",
    }
)


def filled(sentence: str, facts: Mapping[str, Fact]) -> str:
    """Return the sentence with its facts in words. A missing fact gets a word that fits its place."""
    words = _Words(facts)
    text = sentence.format_map(words)
    first = sentence.partition("}")[0].removeprefix("{") if sentence.startswith("{") else ""
    return text if not first or first in words else text[:1].upper() + text[1:]


class _Words(dict[str, str]):
    """Facts for `format_map`: each in words, on one line."""

    def __init__(self, facts: Mapping[str, Fact]) -> None:
        texts = ((name, _IN_WORDS.get(name, _plain)(fact)) for name, fact in facts.items())
        super().__init__({name: words for name, words in texts if words})

    def __missing__(self, name: str) -> str:
        return MISSING.get(name, "something")


def _plain(fact: Fact) -> str:
    """Return a fact on one line, without a full stop: the sentence has its own."""
    return f"{fact:g}" if isinstance(fact, float) else one_line(str(fact)).rstrip(". ")


def _clock(fact: Fact) -> str:
    """Return UTC seconds as the time of day."""
    try:
        return f"{datetime.fromtimestamp(float(fact), UTC):%H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return ""


def _duration(unit: float) -> Callable[[Fact], str]:
    """Return a function that writes seconds (unit 1) or minutes (unit 60) as people say them."""

    def words(fact: Fact) -> str:
        try:
            seconds = round(float(fact) * unit)
        except (ValueError, OverflowError):
            return ""
        count, name = (seconds, "second") if seconds < 120 else (-(-seconds // 60), "minute")
        return f"{count} {name}" if count == 1 else f"{count} {name}s"

    return words


_IN_WORDS: Mapping[str, Callable[[Fact], str]] = MappingProxyType(
    {"at": _clock, "since": _clock, "seconds": _duration(1), "minutes": _duration(60)}
)
