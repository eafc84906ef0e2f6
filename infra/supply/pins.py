"""`python -m infra.supply.pins`: shows the digest of each container image in the files below; with --write, pins each image to it."""

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bindery.adapters.oci_registry import DIGEST, Registry
from bindery.domain.errors import BuildServiceDown

ROOT = Path(__file__).parents[2]
# Files with image names, and the text before a name. CodeBuild's own images are left out: their registry is not public.
PLACES = (
    ("template.yaml", r"Default: "),
    ("infra/kubernetes/base/ended/workload.yaml", r"image: "),
)
REFERENCE = (
    r"(?P<host>[a-z0-9.-]+\.[a-z]+(?::\d+)?)/(?P<repository>[a-z0-9._/-]+)"
    r":(?P<tag>[\w][\w.-]*)(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


class _Images(Registry):
    """Client for one repository of a registry, without credentials."""

    def __init__(self, host: str, repository: str, scheme: str = "https") -> None:
        super().__init__(f"{scheme}://{host}")
        self.repository = repository


@dataclass(frozen=True)
class Named:
    """Image name in a file. digest: the pinned digest; empty if there is none."""

    file: Path
    host: str
    repository: str
    tag: str
    digest: str

    @property
    def name(self) -> str:
        """Return the name without the digest."""
        return f"{self.host}/{self.repository}:{self.tag}"


def images(root: Path = ROOT) -> Iterator[Named]:
    """Return every image that is named with its registry, in the order of PLACES. Raises FileNotFoundError."""
    for place, before in PLACES:
        file = root / place
        for match in re.finditer(rf"(?<={before}){REFERENCE}", file.read_text()):
            yield Named(file, match["host"], match["repository"], match["tag"], match["digest"] or "")


def current(image: Named, scheme: str = "https") -> str:
    """Return the digest of the image's tag in the registry now. Raises BuildServiceDown, and LookupError if the tag does not exist."""
    registry = _Images(image.host, image.repository, scheme)
    try:
        digest = registry.digest_of(image.tag)
    finally:
        registry.close()
    if digest is None:
        raise LookupError(f"{image.host} has no {image.repository}:{image.tag}")
    return digest


def pin(image: Named, digest: str) -> None:
    """Write the digest after the tag, in place of an older one. Raises ValueError for an invalid digest."""
    if not DIGEST.fullmatch(digest):
        raise ValueError(digest)
    old = f"{image.name}@{image.digest}" if image.digest else image.name
    text = image.file.read_text()
    image.file.write_text(re.sub(rf"{re.escape(old)}(?![\w.@-])", f"{image.name}@{digest}", text))


def main(words: list[str] | None = None, root: Path = ROOT, ask: Callable[[Named], str] = current) -> int:
    """Print a line for each image. Return 1 if a digest cannot be determined, and leave that image as it is."""
    parser = argparse.ArgumentParser(prog="python -m infra.supply.pins", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the digests into the files that name the images")
    write, failed = parser.parse_args(words).write, False
    for image in images(root):
        try:
            digest = ask(image)
        except (BuildServiceDown, LookupError) as error:
            print(f"{image.name}: {error}")
            failed = True
            continue
        state = "as pinned" if digest == image.digest else "not the pinned one" if image.digest else "not pinned"
        print(f"{image.name}@{digest}: {state}")
        if write and digest != image.digest:
            pin(image, digest)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
