"""Where a commit's submodules are."""

from io import BytesIO
from urllib.parse import urljoin

from dulwich.config import ConfigFile, parse_submodules

from bindery.adapters.repositories.addresses import parsed, without_user
from bindery.adapters.repositories.checkout import shown
from bindery.adapters.repositories.packs import BROKEN
from bindery.domain.errors import BadAddress, RepositoryUnusable


def submodule_urls(gitmodules: bytes, parent: str) -> dict[bytes, str]:
    """Clone addresses by path, from `.gitmodules` as the commit has it; relative ones are below `parent`, a clone address."""
    try:
        found = parse_submodules(ConfigFile.from_file(BytesIO(gitmodules)))
        return {path: _absolute(url.decode(errors="replace"), parent) for path, url, _ in found}
    except BROKEN as error:
        raise RepositoryUnusable(why="its .gitmodules cannot be read") from error


def check_submodule(path: bytes, url: str) -> None:
    """RepositoryUnusable unless the address can be fetched from, its host aside."""
    try:
        parsed(url)
    except BadAddress as error:
        why = f"its submodule {shown(path)} is at {without_user(url)}: {error.facts['why']}"
        raise RepositoryUnusable(why=why) from None


def _absolute(url: str, parent: str) -> str:
    return urljoin(f"{parent.rstrip('/')}/", url).rstrip("/") if url.startswith(("./", "../")) else url
