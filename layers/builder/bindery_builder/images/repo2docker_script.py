"""Script of a separate process: lets repo2docker write its Dockerfile and related files, without building an image.

Arguments: the repository's folder, the folder to write into, the base image (empty: repo2docker's own). repo2docker passes a
finished build context to a container engine; the engine in this script writes it to disk.
"""

import io
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path


def main() -> int:
    """Write the build context. Return 0, or 1 after a line with the reason."""
    content, folder, base_image = sys.argv[1:]
    sys.path.append(str(Path(__file__).resolve().parents[2]))  # appended, since repo2docker may be installed there, too
    from bindery_builder.process.resource_limits import limit_process

    limit_process()
    from repo2docker.app import Repo2Docker
    from repo2docker.buildpacks import LegacyBinderDockerBuildPack, base

    base.exclude_paths = (
        lambda *_: ()
    )  # the repository's files are moved there afterwards, so that they do not go through memory
    app = Repo2Docker(repo=content, user_id=1000, user_name="jovyan", output_image_spec="image", run=False)
    app.initialize()  # its log, line by line
    # This build pack reads the root's Dockerfile even if binder/ holds the configuration, and only to refuse it.
    app.buildpacks = [pack for pack in app.buildpacks if pack is not LegacyBinderDockerBuildPack]
    app.get_engine = lambda: _Writing(Path(folder))
    if base_image:
        app.base_image = base_image
    try:
        app.build()
    except MemoryError:
        print("error: its files take more memory to be read than they may", flush=True)  # noqa: T201
        return 1
    except Exception as error:  # noqa: BLE001 - every error here concerns the repository's files
        print(f"error: {error}", flush=True)  # noqa: T201
        return 1
    return 0


class _Writing:
    """Container engine for repo2docker that only writes the build context."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def inspect_image(self, _name: str) -> None:
        """Return None: the image does not exist yet."""

    def build(self, *, fileobj: io.BytesIO, **_: object) -> Iterator[str]:
        """Write the files of the build context, which are only repo2docker's own."""
        with tarfile.open(fileobj=fileobj) as tar:
            for member in tar:
                path = self._folder / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                if file := tar.extractfile(member):
                    path.write_bytes(file.read())
                    path.chmod(member.mode)
        return iter(())


if __name__ == "__main__":
    sys.exit(main())
