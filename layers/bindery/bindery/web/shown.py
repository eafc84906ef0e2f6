"""A fact as people and programs are told it: its face, with what is known of it filled in."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bindery.domain import errors as e
from bindery.domain.errors import BinderyError, Fact
from bindery.domain.failure import Failure
from bindery.web.errors import FACES
from bindery.web.face import GENERAL
from bindery.web.text import last_lines
from bindery.web.words import filled


@dataclass(frozen=True)
class Shown:
    """A face with its facts filled in. message: plain text; HTML escapes are the templates' business."""

    status: int
    code: str
    message: str


BY_KIND: Mapping[str, type[BinderyError]] = MappingProxyType({error.__name__: error for error in FACES})


def face_of(failure: Failure | BinderyError) -> Shown:
    """How a failure is shown. One of a kind that this version does not know gets the general face."""
    told = failure if isinstance(failure, Failure) else Failure.of(failure)
    kind = BY_KIND.get(told.kind)
    face = FACES[kind] if kind else GENERAL
    trouble = {"trouble": _meaning(told.facts["trouble"])} if "trouble" in told.facts else {}
    message = filled(face.sentence, {**told.facts, **trouble})
    if kind is e.SessionDied and (lines := last_lines(str(told.facts.get("why", "")))):
        message = f"{message} Its last words:\n{lines}"
    return Shown(face.status, face.code, message)


def hindrance_of(failure: Failure) -> str:
    """What keeps a launch for now, in a sentence."""
    kind = BY_KIND.get(failure.kind)
    meanwhile = FACES[kind].meanwhile if kind else ""
    return filled(meanwhile, failure.facts) if meanwhile else face_of(failure).message


def _meaning(fact: Fact) -> Fact:
    """What the name of one of our types means: its sentence up to the advice. Anything else stays as it is."""
    kind = BY_KIND.get(str(fact))
    if kind is None or kind is e.StepLost:
        return fact
    return filled(FACES[kind].sentence, {}).partition(". ")[0].partition(": no reason")[0]
