"""Addresses of Dataverse installations' pages, and what they name: text only, nobody is asked."""

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
    """Hosts of those that are known."""
    text = shipped("bindery.adapters.hosts.records").joinpath("dataverse_installations.txt").read_text(encoding="ascii")
    return frozenset(line for line in text.split("\n") if line and not line.startswith("#"))


class Named(NamedTuple):
    """What a page's address names; each may be empty. file: the address of a file's content. version: a published one."""

    identifier: str = ""
    file: str = ""
    version: str = ""


def named_by(address: str) -> Named:
    """Nothing, for what is no page of a dataset or a file."""
    try:
        parsed(address)
    except BadAddress:
        return Named()
    parts = urlsplit(address)
    if parts.path not in {DATASET_PAGE, FILE_PAGE, CITATION}:
        return Named()
    named = {name: values[0] for name, values in parse_qs(parts.query).items()}
    number, version = named.get("fileId", ""), re.fullmatch(VERSION, named.get("version", ""))
    file = f"{parts.scheme}://{parts.netloc}{CONTENT}{number}" if number and parts.path == FILE_PAGE else ""
    return Named(named.get("persistentId", ""), file, version[0] if version else "")


def identifier_in(address: str) -> str:
    """The persistent identifier that a page's address names, or nothing."""
    return named_by(address).identifier
