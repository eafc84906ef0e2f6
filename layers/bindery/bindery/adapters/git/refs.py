"""Rules for refs in specs, and the choice of the commit that a ref stands for."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import unquote_to_bytes

from bindery.domain.errors import BadRef, BadSpec, RefNotFound

COMMIT = re.compile(r"[0-9a-f]{40}")
Result = TypeVar("Result")
LONGEST_REF = 255
LONGEST_SPEC = 2000
# BinderHub's links name `master` by default. If it is missing, they mean the repository's current default branch.
OFTEN_MISSING = ("master", "main")
OWN = ("refs/heads/", "refs/tags/")
"""Refs that only people with push access write. Others, such as `refs/pull/1/head`, may point to commits of any user."""


FAULTS = (
    (re.compile(r"\A\Z"), "it is empty"),
    (re.compile(r"\A-"), "it begins with -"),
    (re.compile(r"[\0-\x20\x7f]"), "it holds spaces or control characters"),
    (re.compile(r"\.\.|@\{|//|/\.|[~^:?*\[\\]"), "it holds one of .. @{ // /. ~ ^ : ? * [ \\"),
    (re.compile(r"\A[/.]|\A@\Z"), "it begins with / or . or is just @"),
    (re.compile(r"(\.lock|/|\.)\Z|\.lock/"), "it ends with .lock, / or ."),
)


def check_ref(ref: str) -> str:
    """Return the ref, a full commit id in lower case. Raises BadRef if no repository can have the ref."""
    why = next((why for fault, why in FAULTS if fault.search(ref)), "")
    if not why and len(ref.encode(errors="surrogatepass")) > LONGEST_REF:
        why = f"it is longer than {LONGEST_REF} bytes"
    if not why and not ref.isprintable():
        why = "it holds characters that cannot be shown"
    if why:
        raise BadRef(ref=shown(ref), why=why)
    return ref.lower() if COMMIT.fullmatch(ref.lower()) else ref


def decoded(part: str, spec: str) -> str:
    """Return a percent-encoded part of a spec as text. Raises BadSpec unless it is valid UTF-8 without NUL."""
    try:
        text = unquote_to_bytes(part).decode()
    except UnicodeError:
        raise BadSpec(spec=shown(spec), why="it is not valid UTF-8") from None
    if "\0" in text:
        raise BadSpec(spec=shown(spec), why="it holds a NUL")
    return text


def check_length(spec: str) -> None:
    """Raise BadSpec if the spec is too long for the address of a repository."""
    if len(spec) > LONGEST_SPEC:
        raise BadSpec(spec=shown(spec), why=f"it is longer than {LONGEST_SPEC} characters")


def shown(spec: str) -> str:
    """Return the spec in a form that fits into a message: at most 200 characters, valid Unicode."""
    return spec[:200].encode(errors="replace").decode()


@dataclass(frozen=True)
class Found:
    """Commit that a ref points to.

    commit: full id. note: a sentence for the visitor. own: true if a branch or a tag of the repository points to the commit.
    """

    commit: str
    note: str = ""
    own: bool = False


def names_of(ref: str) -> tuple[str, ...]:
    """Return the full names that the ref may stand for. The first name that exists wins."""
    if ref == "HEAD":
        return ("HEAD",)
    own = (ref,) if ref.startswith("refs/") else ()
    return (*own, f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/{ref}")


def head_instead(ref: str) -> str:
    """Return the note for a launch that uses HEAD instead of a missing ref."""
    return f"There is no branch {ref}: using the repository's default branch (HEAD) instead."


def or_head(name: str, ref: str, ask: Callable[[str], Result | None]) -> tuple[Result, str]:
    """Return the result of `ask` for the ref, and an empty note. Raises RefNotFound.

    For a missing master or main, return the result for HEAD and a note. name: the repository's name, for messages.
    """
    result = ask(ref)
    if result is not None:
        return result, ""
    result = ask("HEAD") if ref in OFTEN_MISSING else None
    if result is None:
        raise RefNotFound(spec=name, ref=ref)
    return result, head_instead(ref)


def chosen(ref: str, commits: Mapping[str, str]) -> Found | None:
    """Return the commit that `ref` stands for, or None.

    commits: commit ids by full ref name. A missing master or main stands for HEAD.
    """
    for name in names_of(ref):
        if commit := commits.get(name):
            return Found(commit, own=name == "HEAD" or name.startswith(OWN))
    if ref in OFTEN_MISSING and (commit := commits.get("HEAD")):
        return Found(commit, head_instead(ref), own=True)
    return None
