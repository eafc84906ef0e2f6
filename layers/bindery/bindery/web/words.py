"""Facts in words, for the sentences of `bindery.web.errors`."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from bindery.domain.errors import Fact
from bindery.web.text import one_line

# What fits a fact's place when the fact is missing: stored by an older version, or by a newer one.
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
    """The sentence with its facts in words. It never shows a gap, whatever facts there are."""
    words = _Words(facts)
    text = sentence.format_map(words)
    first = sentence.partition("}")[0].removeprefix("{") if sentence.startswith("{") else ""
    return text if not first or first in words else text[:1].upper() + text[1:]


class _Words(dict[str, str]):
    """For `format_map`: each fact in words, on one line."""

    def __init__(self, facts: Mapping[str, Fact]) -> None:
        told = ((name, _IN_WORDS.get(name, _plain)(fact)) for name, fact in facts.items())
        super().__init__({name: words for name, words in told if words})

    def __missing__(self, name: str) -> str:
        return MISSING.get(name, "something")


def _plain(fact: Fact) -> str:
    """Without the full stop that the sentence brings itself."""
    return f"{fact:g}" if isinstance(fact, float) else one_line(str(fact)).rstrip(". ")


def _clock(fact: Fact) -> str:
    """UTC seconds as the time of day."""
    try:
        return f"{datetime.fromtimestamp(float(fact), UTC):%H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return ""


def _duration(unit: float) -> Callable[[Fact], str]:
    """Seconds (unit 1) or minutes (unit 60) as people say them."""

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
