"""Images in the form of a shared build, on the tests' base image: with repo2docker's real entry point and a commit as
an archive.
"""

import tempfile
from collections.abc import Mapping
from importlib.metadata import distribution
from pathlib import Path

from bindery_builder.images.context import COMMIT_FOLDER, add_commit
from tests.cluster.layers import Layer

HOME = "/home/jovyan"
ENVIRONMENT = {"REPO_DIR": HOME, "PATH": f"{HOME}/.local/bin:/opt/venv/bin:/usr/local/bin:/usr/bin:/bin"}
"""The variables that repo2docker's Dockerfile sets, as settings of a session."""
ENTRY_POINT = "/usr/local/bin/repo2docker-entrypoint"
_SCRIPTS = ("python3-login", "repo2docker-entrypoint")
# Debian's own profile forgets the image's PATH in a login shell; repo2docker's base images do not.
_PROFILE = {"/etc/profile.d/path.sh": f"PATH={ENVIRONMENT['PATH']}\n"}


def shared(clone: Path, ref: str, by_build: Mapping[str, str | bytes]) -> Layer:
    """Return a layer with the commit of `clone` as its image carries it.

    by_build: files that build steps leave, by absolute path.
    """
    with tempfile.TemporaryDirectory() as name:
        context = Path(name)
        dockerfile = context / "Dockerfile"
        dockerfile.touch()
        add_commit(clone, ref, context, dockerfile, lambda: None)
        archive = (context / "carried/content" / f"{ref}.tar").read_bytes()
    return _layer({**by_build, f"{COMMIT_FOLDER}/content/{ref}.tar": archive})


def whole(clone: Path) -> Layer:
    """Return a layer with the commit of `clone` in HOME: such an image holds its files at the place where a session
    reads them.
    """
    inside = {f"{HOME}/{path.relative_to(clone)}": path.read_bytes() for path in clone.rglob("*") if path.is_file()}
    return _layer(inside)


def _layer(content: Mapping[str, str | bytes]) -> Layer:
    package = distribution("jupyter-repo2docker")  # an import of it warns
    scripts = {
        f"/usr/local/bin/{name}": Path(str(package.locate_file(f"repo2docker/buildpacks/{name}"))).read_bytes()
        for name in _SCRIPTS
    }
    return Layer({**_PROFILE, **scripts, **content}, frozenset(scripts))
