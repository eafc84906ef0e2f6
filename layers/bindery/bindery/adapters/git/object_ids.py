"""What git calls an object."""

from hashlib import sha1


def object_id(kind: bytes, content: bytes) -> bytes:
    """An object's id in hex, from its type's name and its content."""
    hashed = sha1(kind + b" %d\0" % len(content), usedforsecurity=False)
    hashed.update(content)  # not joined: that would be a copy of what may be large
    return hashed.hexdigest().encode()
