"""Objects of a fetched pack on disk."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dulwich.object_format import SHA1
from dulwich.objects import ObjectID
from dulwich.pack import Pack, PackFileDisappeared

from bindery.adapters.git.object_ids import object_id
from bindery.adapters.git.packs import BLOB, BROKEN, COMMIT, TREE, BrokenPack
from bindery_builder.contents.work_tree import Read

KINDS: Final = {BLOB: b"blob", COMMIT: b"commit", TREE: b"tree"}


@contextmanager
def objects_in(pack: Path, check: Callable[[], None]) -> Iterator[Read]:
    """Yield a reader for the objects of a pack and its index. It verifies each object against its id.

    Thus the files that are written are those of the commit's id.
    """
    with Pack(str(pack).removesuffix(".pack"), object_format=SHA1) as opened:

        def read(kind: bytes, requested_id: bytes) -> bytes:
            check()
            try:
                number, content = opened.get_raw(ObjectID(requested_id))
            except (*BROKEN, PackFileDisappeared) as error:
                raise BrokenPack("an object is missing") from error
            if KINDS.get(number) != kind or object_id(kind, content) != requested_id:
                raise BrokenPack("an object is not what it should be")
            return content

        yield read
