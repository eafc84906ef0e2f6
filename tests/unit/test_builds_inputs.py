"""The files that a build gets, by the part of the repository that its environment's key covers."""

from pathlib import Path

import pytest

from bindery.domain.errors import RepositoryUnusable
from bindery_builder.fetch import select_inputs
from tests.building import ordered, written


def selected(tmp_path: Path, *files: str, scope: str = "files") -> set[str]:
    commit, folder = tmp_path / "commit", tmp_path / "content"
    order = ordered(commit, scope=scope).model_copy(update={"files": files})
    select_inputs(order, commit, folder)
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_shared_build_gets_the_files_of_its_key(tmp_path: Path) -> None:
    written(tmp_path / "commit", {"requirements.txt": "", "a/b.txt": "", "a/c.txt": "", ".git/HEAD": "", "pip.py": ""})
    assert selected(tmp_path, "requirements.txt", "a/b.txt") == {"requirements.txt", "a/b.txt"}
    assert (tmp_path / "commit/.git/HEAD").exists()


@pytest.mark.parametrize("scope", ["tree", "commit"])
def test_a_build_whose_key_covers_the_tree_gets_all_files(tmp_path: Path, scope: str) -> None:
    written(tmp_path / "commit", {"postBuild": "", ".git/HEAD": ""})
    assert selected(tmp_path, scope=scope) == {"postBuild", ".git/HEAD"}
    assert not (tmp_path / "commit").exists()


def test_a_shared_build_ignores_file_modes(tmp_path: Path) -> None:
    written(tmp_path / "commit", {"start": ""})
    (tmp_path / "commit/start").chmod(0o755)
    selected(tmp_path, "start")
    assert (tmp_path / "content/start").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("name", ["absent", "link", "through/inner", "folder"])
def test_a_name_that_is_no_plain_file_of_the_commit_is_refused(tmp_path: Path, name: str) -> None:
    commit = written(tmp_path / "commit", {"folder/inner": ""})
    (commit / "link").symlink_to("folder/inner")
    (commit / "through").symlink_to("folder")
    with pytest.raises(RepositoryUnusable):
        selected(tmp_path, name)
