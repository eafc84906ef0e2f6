"""Limits of working copies: a copy that exceeds a limit is refused, and the error names that limit."""

import os
from pathlib import Path

import pytest

from bindery.domain.errors import FileTooLarge, RepositoryTooLarge
from tests.serving.git_http import git
from tests.serving.working_copies import Files, Place, hand_made, inner_tree, place, stored

__all__ = ["place"]  # fixtures


@pytest.mark.parametrize("limits", [{"max_bytes": 100_000}, {"max_files": 5}, {"max_file_bytes": 50_000}])
def test_content_over_a_limit_is_refused_and_no_files_remain(place: Place, work: Path, limits: dict[str, int]) -> None:
    repository = place.make({**{f"f{number}": f"{number}" for number in range(6)}, "big": b"0" * 200_000})
    with pytest.raises(RepositoryTooLarge) as caught:
        place.other(**limits).checkout(repository, work)
    assert caught.value.facts["limit"]
    assert place.left() == []
    assert [
        path for path in (place.root / "other cache").rglob("*") if path.is_file() and limits != {"max_files": 5}
    ] == []


def test_folders_that_repeat_the_same_trees_are_refused(place: Place, work: Path) -> None:
    folder = place.server.root / "r.git"
    content = inner_tree(place, b"a", b"x")
    for _ in range(9):
        entry = bytes.fromhex(stored(folder, "tree", content))
        content = b"".join(b"40000 d%d\0" % number + entry for number in range(10))
    with pytest.raises(RepositoryTooLarge):
        place.other(max_files=2000).checkout(hand_made(place, (b"x", 0o040000, content)), work)
    assert place.left() == []


def test_a_file_of_the_size_limit_of_github_is_checked_out(place: Place, work: Path) -> None:
    place.contents.checkout(place.make({"big.bin": bytes(104_000_000)}), work)
    assert (work / "big.bin").stat().st_size == 104_000_000


@pytest.mark.parametrize("size", [100 * 2**20 + 1, 150_000_000])
def test_a_file_over_the_limit_is_named_with_the_limit_for_one_file(place: Place, work: Path, size: int) -> None:
    with pytest.raises(FileTooLarge) as caught:
        place.contents.checkout(place.make({"a": "b", "data/big.bin": bytes(size)}), work)
    assert caught.value.facts["file"] == "data/big.bin"
    assert caught.value.facts["limit"] == "100 MiB"
    assert place.left() == []


def test_a_file_over_the_limit_is_reported_as_such_by_a_host_without_filters(place: Place, work: Path) -> None:
    repository = place.make({"big.bin": b"0" * 200_000})
    git("-C", place.server.root / "r.git", "config", "uploadpack.allowFilter", "false")
    with pytest.raises(FileTooLarge) as caught:
        place.other(max_file_bytes=50_000).checkout(repository, work)
    assert caught.value.facts["file"] == "a file"
    assert caught.value.facts["limit"] == "50 kB"


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        ({"max_bytes": 400_000}, "400 kB"),
        ({"max_files": 5}, "5 files"),
        ({"max_files": 2}, "4 files and folders"),
        ({"max_bytes": 250_000, "max_file_bytes": 10**9}, "500 kB"),
    ],
)
def test_the_error_names_the_limit_that_was_exceeded(
    place: Place, work: Path, limits: dict[str, int], named: str
) -> None:
    files: Files = {f"f{number}": os.urandom(10) for number in range(6)}
    zeros: Files = {f"z{number}": bytes([number]) * 200_000 for number in range(3)}
    with pytest.raises(RepositoryTooLarge) as caught:
        place.other(**limits).checkout(place.make({**files, **(zeros if "max_bytes" in limits else {})}), work)
    assert caught.value.facts["limit"] == named
    assert type(caught.value) is RepositoryTooLarge
