"""The messages of errors. Each error has a face in the catalog, and no face shows a gap in place of a fact."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindery.domain import errors
from bindery.domain.errors import BinderyError, Fact, Permanent, Retryable
from bindery.domain.failure import Failure
from bindery.web.errors.catalog import CATALOG, GENERAL
from bindery.web.errors.render import error_message


def concrete(kind: type[BinderyError]) -> list[type[BinderyError]]:
    below = [subclass for child in kind.__subclasses__() for subclass in (child, *concrete(child))]
    return [
        subclass
        for subclass in below
        if subclass not in (Permanent, Retryable) and subclass.__module__.startswith(errors.__name__)
    ]


def facts_in_docstring(kind: type[BinderyError]) -> set[str]:
    sentence = re.search(r"Facts: (.*)", kind.__doc__ or "")
    without_asides = re.sub(r"\([^)]*\)", "", sentence[1]) if sentence else ""
    return {name for name in re.findall(r"\w+", without_asides) if name != "none"}


def test_every_error_is_in_the_catalog() -> None:
    assert set(CATALOG) == set(concrete(BinderyError))


def test_codes_are_unique_and_statuses_are_errors() -> None:
    codes = [face.code for face in CATALOG.values()]
    assert len({*codes, GENERAL.code}) == len(codes) + 1
    assert all(400 <= face.status < 600 for face in CATALOG.values())


@pytest.mark.parametrize("kind", CATALOG, ids=lambda kind: kind.__name__)
def test_a_message_uses_only_facts_of_its_error(kind: type[BinderyError]) -> None:
    assert set(re.findall(r"\{(\w+)\}", CATALOG[kind].sentence)) <= facts_in_docstring(kind)


def test_no_message_for_visitors_mentions_settings() -> None:
    assert [face.code for face in CATALOG.values() if "BINDERY_" in face.sentence + face.meanwhile] == []


def test_the_message_about_a_private_address_refers_to_the_operator_and_the_log() -> None:
    message = error_message(errors.ForbiddenAddress(host="127.0.0.1")).message
    assert "127.0.0.1" in message
    assert message.endswith("Whoever runs this Bindery can allow it: its log says how.")


@pytest.mark.parametrize("kind", CATALOG, ids=lambda kind: kind.__name__)
def test_a_message_without_its_facts_is_still_a_sentence(kind: type[BinderyError]) -> None:
    message = error_message(kind()).message
    assert re.fullmatch(r"[A-Z][^{}]*[.!]", message), message


@given(
    kind=st.sampled_from([*(kind.__name__ for kind in CATALOG), "FromTomorrow"]),
    facts=st.dictionaries(
        st.sampled_from(["spec", "why", "ref", "url", "at", "seconds", "minutes", "limit", "trouble", "host", "other"]),
        st.one_of(st.text(st.characters()), st.integers(), st.floats()),
    ),
)
@settings(deadline=None, database=None)
def test_no_facts_break_a_message(kind: str, facts: dict[str, Fact]) -> None:
    rendered = error_message(Failure.model_construct(kind=kind, facts=facts))
    assert rendered.message.encode()
    assert "\x00" not in rendered.message
    assert len(rendered.message) < 6000
    assert kind == "SessionDied" or "\n" not in rendered.message


def test_facts_with_braces_are_shown_literally() -> None:
    message = error_message(errors.RefNotFound(spec="o/r/{ref}", ref="{spec.__class__}")).message
    assert message.startswith("o/r/{ref}: there is no branch, tag or commit called {spec.__class__}.")


def test_a_rate_limited_host_is_reported_with_the_time_of_its_end() -> None:
    rendered = error_message(errors.HostLimited(host="api.github.com", at=1_700_000_000.5))
    assert rendered.status == 429
    assert "api.github.com" in rendered.message
    assert "22:13 UTC" in rendered.message


@pytest.mark.parametrize("at", ["soon", float("nan"), float("inf"), 1e300, -1e300, ""])
def test_an_invalid_time_is_shown_as_a_later_time(at: Fact) -> None:
    assert "a later time" in error_message(errors.HostLimited(host="h", at=at)).message


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "1 second"), (0.4, "0 seconds"), (90, "90 seconds"), (121, "3 minutes"), (3600, "60 minutes")],
)
def test_durations_are_shown_in_words(seconds: float, words: str) -> None:
    assert f"in {words}." in error_message(errors.RateLimited(limit=10, seconds=seconds)).message


def test_minutes_are_shown_as_minutes() -> None:
    assert "(30 minutes)" in error_message(errors.BuildTooLong(minutes=30)).message


def test_quota_messages_equal_those_of_binderhub() -> None:
    assert error_message(errors.QuotaReached(limit=3)).message == "Too many users on this BinderHub! Try again soon."
    of_one = error_message(errors.RepositoryQuotaReached(limit=3, url="https://github.com/o/r"))
    assert of_one.message == "Too many users running https://github.com/o/r! Try again soon."
    assert of_one.status == 429


def test_an_unbuildable_file_is_reported_in_one_line_with_a_remedy() -> None:
    message = error_message(
        errors.CannotBuild(file="binder/apt.txt", needs="Debian packages\n(curl)", install="a container engine.")
    ).message
    assert message == (
        "binder/apt.txt asks for Debian packages (curl), which is missing here: install a container engine."
    )


def test_a_died_session_is_reported_with_its_last_lines() -> None:
    why = "\x1b[31mTraceback\x1b[0m\n  File x\nModuleNotFoundError: No module named 'foo'\n"
    message = error_message(errors.SessionDied(why=why)).message
    assert message.splitlines()[-2:] == ["  File x", "ModuleNotFoundError: No module named 'foo'"]
    assert "\x1b" not in message


def test_a_failed_step_is_reported_with_the_meaning_of_its_last_error() -> None:
    assert "cannot be reached" in error_message(errors.StepFailed(trouble="HostUnreachable")).message
    assert "(a step that crashed)" in error_message(errors.StepFailed(trouble="a step that crashed")).message
    assert "(StepFailed)" in error_message(errors.StepFailed(trouble="StepFailed")).message
    assert "Throttled" not in error_message(errors.StepFailed(trouble="Throttled")).message


DOI_PAGE = "https://doi.org/10.5281/zenodo.7"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (errors.RecordNotFound(url=DOI_PAGE), (DOI_PAGE, "Check its spelling", "draft", "reserved", "once")),
        (errors.RecordRestricted(url=DOI_PAGE), (DOI_PAGE, "restricted", "embargo", "authors", "launch again once")),
        (errors.RecordWithdrawn(url=DOI_PAGE), (DOI_PAGE, "withdrawn", "page says why", "another version")),
        (errors.VersionNotFound(spec="10.7910/DVN/X", ref="v3.0"), ("10.7910/DVN/X", "v3.0", "newest")),
        (
            errors.FileTooLarge(url=DOI_PAGE, file="big.bin", limit="100 MiB"),
            (DOI_PAGE, "big.bin", "100 MiB", "one file"),
        ),
        (errors.RepositoryTooLarge(url=DOI_PAGE, limit="2000 MB"), (DOI_PAGE, "2000 MB", "smaller", "fetches")),
    ],
    ids=lambda given: type(given).__name__,
)
def test_publishers_of_records_get_a_next_step(error: BinderyError, words: tuple[str, ...]) -> None:
    message = error_message(error).message
    assert [word for word in words if word not in message] == []
    assert not re.search("branch|tag|commit|private", message), "a record has none of these"


def test_a_stored_failure_has_the_message_of_its_error() -> None:
    error = errors.RepositoryNotFound(url="https://github.com/o/gone")
    assert error_message(Failure.of(error)) == error_message(error)


@pytest.mark.parametrize("kind", ["FromTomorrow", "BinderyError", "Permanent", ""])
def test_an_unknown_kind_has_the_general_message(kind: str) -> None:
    rendered = error_message(Failure(kind=kind, facts={"why": "secret plans"}))
    assert (rendered.status, rendered.code, rendered.message) == (500, "internal", GENERAL.sentence)


def test_very_long_facts_are_shortened_in_the_middle() -> None:
    message = error_message(errors.BadSpec(spec="a" + "x" * 100_000 + "z", why="it is too long")).message
    assert len(message) < 500
    assert message.startswith("ax")
    assert "xz does not name" in message
    assert "it is too long" in message


def test_a_fact_cannot_reverse_the_text_direction() -> None:
    message = error_message(errors.RefNotFound(spec="o/r/x", ref="\u202egnp.exe\u2066")).message
    assert "\u202e" not in message
    assert "\u2066" not in message
