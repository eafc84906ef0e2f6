"""Ids of git objects."""

from hashlib import sha1


def object_id(kind: bytes, content: bytes) -> bytes:
    """Return an object's id in hex, from its type's name and its content."""
    hashed = sha1(kind + b" %d\0" % len(content), usedforsecurity=False)
    hashed.update(content)  # not joined: joining would copy the content, which may be large
    return hashed.hexdigest().encode()
