"""Names of the base images of a Dockerfile, as far as they can be determined before the build.

The Dockerfile is untrusted. It is read up to a limit and never evaluated: a name that depends on values other than the defaults of
global `ARG`s is left to the build. https://docs.docker.com/reference/dockerfile/
"""

import re
from collections.abc import Iterator
from pathlib import Path

MOST_BYTES, MOST_IMAGES, MOST_CHARACTERS = 200_000, 20, 255
_ESCAPE = re.compile(r"#\s*escape\s*=\s*([\\`])\s*", re.IGNORECASE)
_DIRECTIVE = re.compile(r"#\s*\w+\s*=.*")
_HEREDOC = re.compile(r"<<-?\s*([\"']?)(\w+)\1")
_FROM = re.compile(r"FROM\s+((?:--\w+=\S+\s+)*)(\S+)(?:\s+AS\s+(\S+))?\s*", re.IGNORECASE)
_COPY = re.compile(r"COPY\s+(?:--\S+\s+)*--from=(\S+)\s", re.IGNORECASE)
_ARG = re.compile(r"(?<!\w)(\w+)=(\"[^\"]*\"|'[^']*'|\S*)")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::-([^${}]*))?\})")
_IMAGE = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?/)?"
    r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)


def images_of(dockerfile: Path) -> list[str]:
    """Return names of images in the order of their first use, each once, at most MOST_IMAGES. Raises OSError."""
    with dockerfile.open("rb") as file:
        text = file.read(MOST_BYTES).decode(errors="replace")
    arguments: dict[str, str] = {}
    stages: set[str] = {"scratch"}
    names: dict[str, None] = {}
    past_first_from = False
    for instruction in _instructions(text):
        if not past_first_from and instruction[:4].upper() == "ARG ":
            arguments |= _defaults(instruction, arguments)
        elif source := _FROM.fullmatch(instruction):
            past_first_from = True
            _add(names, stages, source[2], arguments, source[1])
            stages.add((source[3] or "").lower())
        elif copied := _COPY.match(instruction):
            _add(names, stages, copied[1], {}, "")
        if len(names) == MOST_IMAGES:
            break
    return list(names)


def host_of(image: str) -> str:
    """Return the host of an image's name: `docker.io` for names without a host."""
    first, slash, _ = image.partition("/")
    has_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    host = first if has_host else "docker.io"
    return "docker.io" if host in ("index.docker.io", "registry-1.docker.io") else host


def _add(names: dict[str, None], stages: set[str], text: str, arguments: dict[str, str], flags: str) -> None:
    name = _filled(text, arguments)
    if name is None or name.lower() in stages or name.isdecimal() or len(name) > MOST_CHARACTERS:
        return
    if "--platform=" not in flags.lower() and _IMAGE.fullmatch(name):  # for another platform: left to the build
        names[name] = None


def _filled(text: str, arguments: dict[str, str]) -> str | None:
    """Return the text with its variables replaced, or None if a variable has no known value."""

    def value(match: re.Match[str]) -> str:
        argument = arguments.get(match[1] or match[2], "")
        return argument or match[3] or "$"

    filled = _VARIABLE.sub(value, text.strip("\"'"))
    return None if "$" in filled else filled


def _defaults(instruction: str, before: dict[str, str]) -> dict[str, str]:
    """Return the values that a global `ARG` instruction sets."""
    pairs = ((name, _filled(text, before)) for name, text in _ARG.findall(instruction[4:]))
    return {name: text[:MOST_CHARACTERS] for name, text in pairs if text is not None}


def _instructions(text: str) -> Iterator[str]:
    """Yield instructions, each on one line, without comments and without the contents of here-documents."""
    lines = text.splitlines()
    escape = _escape(lines)
    whole, ends = "", list[str]()
    for line in lines:
        if ends:
            if line.strip() == ends[0]:
                ends.pop(0)
            continue
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if stripped.endswith(escape):
            whole += stripped[:-1] + " "
            continue
        instruction, whole = (whole + stripped).strip(), ""
        if instruction[:4].upper() in ("RUN ", "COPY", "ADD "):
            ends = [word for _, word in _HEREDOC.findall(instruction)][:MOST_IMAGES]
        yield instruction
    if whole:
        yield whole.strip()


def _escape(lines: list[str]) -> str:
    """Return the line continuation character. Directives are only read before the first other line."""
    for line in lines:
        if match := _ESCAPE.fullmatch(line.strip()):
            return match[1]
        if not _DIRECTIVE.fullmatch(line.strip()):
            break
    return "\\"
