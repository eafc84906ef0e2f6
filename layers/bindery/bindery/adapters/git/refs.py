"""What may be asked for as a ref, and which of a repository's refs answers it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import unquote_to_bytes

from bindery.domain.errors import BadRef, BadSpec, RefNotFound

COMMIT = re.compile(r"[0-9a-f]{40}")
Known = TypeVar("Known")
LONGEST_REF = 255
LONGEST_SPEC = 2000
# BinderHub's links name `master` by default; where it is gone, they mean whatever the repository's default is now.
OFTEN_MISSING = ("master", "main")
OWN = ("refs/heads/", "refs/tags/")
"""Refs that only people who may push to the repository write. Others, such as `refs/pull/1/head`, may lead to anybody's commits."""


FAULTS = (
    (re.compile(r"\A\Z"), "it is empty"),
    (re.compile(r"\A-"), "it begins with -"),
    (re.compile(r"[\0-\x20\x7f]"), "it holds spaces or control characters"),
    (re.compile(r"\.\.|@\{|//|/\.|[~^:?*\[\\]"), "it holds one of .. @{ // /. ~ ^ : ? * [ \\"),
    (re.compile(r"\A[/.]|\A@\Z"), "it begins with / or . or is just @"),
    (re.compile(r"(\.lock|/|\.)\Z|\.lock/"), "it ends with .lock, / or ."),
)


def check_ref(ref: str) -> str:
    """The ref, a full commit id in lower case; BadRef if no repository could have it."""
    why = next((why for fault, why in FAULTS if fault.search(ref)), "")
    if not why and len(ref.encode(errors="surrogatepass")) > LONGEST_REF:
        why = f"it is longer than {LONGEST_REF} bytes"
    if not why and not ref.isprintable():
        why = "it holds characters that cannot be shown"
    if why:
        raise BadRef(ref=shown(ref), why=why)
    return ref.lower() if COMMIT.fullmatch(ref.lower()) else ref


def decoded(part: str, spec: str) -> str:
    """A percent-encoded part of a spec as text; BadSpec unless it is valid UTF-8 without NUL."""
    try:
        text = unquote_to_bytes(part).decode()
    except UnicodeError:
        raise BadSpec(spec=shown(spec), why="it is not valid UTF-8") from None
    if "\0" in text:
        raise BadSpec(spec=shown(spec), why="it holds a NUL")
    return text


def check_length(spec: str) -> None:
    """BadSpec for what is too long for any repository's address."""
    if len(spec) > LONGEST_SPEC:
        raise BadSpec(spec=shown(spec), why=f"it is longer than {LONGEST_SPEC} characters")


def shown(spec: str) -> str:
    """The spec, fit to be repeated in a message: at most 200 characters, valid Unicode."""
    return spec[:200].encode(errors="replace").decode()


@dataclass(frozen=True)
class Found:
    """commit: full id. note: a sentence for the visitor. own: true if a branch or a tag of the repository leads there."""

    commit: str
    note: str = ""
    own: bool = False


def names_of(ref: str) -> tuple[str, ...]:
    """Full names that the ref may stand for, the first that exists wins."""
    if ref == "HEAD":
        return ("HEAD",)
    own = (ref,) if ref.startswith("refs/") else ()
    return (*own, f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/{ref}")


def head_instead(ref: str) -> str:
    """The note when HEAD is taken for a missing ref."""
    return f"There is no branch {ref}: using the repository's default branch (HEAD) instead."


def or_head(name: str, ref: str, ask: Callable[[str], Known | None]) -> tuple[Known, str]:
    """What `ask` knows of the ref, or of HEAD for a missing master or main, and then the note. Raises RefNotFound.

    name: the repository's, for people.
    """
    known = ask(ref)
    if known is not None:
        return known, ""
    known = ask("HEAD") if ref in OFTEN_MISSING else None
    if known is None:
        raise RefNotFound(spec=name, ref=ref)
    return known, head_instead(ref)


def chosen(ref: str, known: Mapping[str, str]) -> Found | None:
    """The commit that `ref` stands for among full names -> commits, HEAD for a missing master or main; else None."""
    for name in names_of(ref):
        if commit := known.get(name):
            return Found(commit, own=name == "HEAD" or name.startswith(OWN))
    if ref in OFTEN_MISSING and (commit := known.get("HEAD")):
        return Found(commit, head_instead(ref), own=True)
    return None
