"""Input files of a build: only the files that its environment's key covers."""

import shutil
from pathlib import Path

from bindery.domain.builds import BuildOrder
from bindery.domain.environment import Scope
from bindery.domain.errors import RepositoryUnusable


def select_inputs(order: BuildOrder, commit: Path, folder: Path) -> None:
    """Create `folder` (absent before) from `commit`, the working copy of the order's commit.

    With scope `files`, sessions of other commits share the result, so `folder` gets only `order.files`, and `commit` stays. The key
    covers contents and not modes: each file gets mode 0644. With another scope, `commit` becomes `folder`. Raises
    RepositoryUnusable if one of the files is missing or is reached through a link.
    """
    if order.scope != Scope.FILES:
        commit.rename(folder)
        return
    folder.mkdir()
    top = commit.resolve()
    for name in order.files:
        source, target = commit / name, folder / name
        if not source.is_file() or source.resolve() != top / name:
            raise RepositoryUnusable(why=f"{name} is not a file of it")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(0o644)
