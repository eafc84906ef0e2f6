"""The face of a fact: what people and programs are shown of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Face:
    """status: HTTP. code: for programs. sentence: for people; `{fact}` stands for the error's fact of that name.

    meanwhile: what is said while the trouble may still pass.
    """

    status: int
    code: str
    sentence: str
    meanwhile: str = ""


GENERAL = Face(
    500,
    "internal",
    "Something went wrong on our side. Please launch again; if it happens again, tell whoever runs this Bindery.",
)
