"""Page addresses of Dataverse installations, and the datasets and files that they identify. Sends no requests."""

import re
from importlib.resources import files as shipped
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

from bindery.adapters.http.address_rules import parsed
from bindery.domain.errors import BadAddress

VERSION: Final = r"[0-9]{1,6}\.[0-9]{1,6}"
DATASET_PAGE, FILE_PAGE, CITATION = "/dataset.xhtml", "/file.xhtml", "/citation"
CONTENT: Final = "/api/access/datafile/"
FILE: Final = re.compile(rf"(https?://([^/?#]+)){CONTENT}([0-9]{{1,15}})")


def installations() -> frozenset[str]:
    """Return the hosts of the known installations."""
    text = shipped("bindery.adapters.hosts.records").joinpath("dataverse_installations.txt").read_text(encoding="ascii")
    return frozenset(line for line in text.split("\n") if line and not line.startswith("#"))


class Named(NamedTuple):
    """Dataset or file that a page address identifies. Each field may be empty.

    file: address of a file's content. version: a published version.
    """

    identifier: str = ""
    file: str = ""
    version: str = ""


def named_by(address: str) -> Named:
    """Return the identifiers in a page address; all are empty if it is not a page of a dataset or a file."""
    try:
        parsed(address)
    except BadAddress:
        return Named()
    parts = urlsplit(address)
    if parts.path not in {DATASET_PAGE, FILE_PAGE, CITATION}:
        return Named()
    parameters = {name: values[0] for name, values in parse_qs(parts.query).items()}
    number, version = parameters.get("fileId", ""), re.fullmatch(VERSION, parameters.get("version", ""))
    file = f"{parts.scheme}://{parts.netloc}{CONTENT}{number}" if number and parts.path == FILE_PAGE else ""
    return Named(parameters.get("persistentId", ""), file, version[0] if version else "")


def identifier_in(address: str) -> str:
    """Return the persistent identifier in a page address, or an empty string."""
    return named_by(address).identifier
