"""Directory store: the file paths that a key can have under the root. No I/O.

A key is stored under its own name where a file system can hold it, else percent-encoded under
`.image-processor/odd/`.
"""

from __future__ import annotations

import os
from urllib.parse import quote_from_bytes, unquote_to_bytes

PRIVATE_FOLDER = ".image-processor"
"""The store's own folder under the root. No key reaches it and no listing contains it."""

Segments = tuple[bytes, ...]
"""A path under the root, as file names. Bytes, so that the locale cannot change a key's path."""

ENCODED_FOLDER: Segments = (os.fsencode(PRIVATE_FOLDER), b"odd")
"""Where files with encoded names lie."""

NAME_MAX = 255
_PATH_MAX = 4096

# An encoded key is split into pieces of at most this many bytes. Percent-encoded (three characters a byte)
# and with its suffix a piece stays below 143 bytes, the shortest name limit in use (eCryptfs).
_PIECE = 40
_MORE_SUFFIX, _LAST_SUFFIX = b"+", b"="


def plain_path(key: bytes, root: bytes) -> Segments | None:
    """The key as a relative path, or None if no file under ``root`` can have that name."""
    names = tuple(key.split(b"/"))
    if b"\0" in key or is_private(names[0]):
        return None
    if any(name in {b"", b".", b".."} or len(name) > NAME_MAX for name in names):
        return None
    return names if len(root) + 1 + len(key) < _PATH_MAX else None


def encoded_path(key: str) -> Segments:
    """The path of a key that cannot be stored under its own name."""
    raw = key.encode()
    pieces = [os.fsencode(quote_from_bytes(raw[at : at + _PIECE], "")) for at in range(0, len(raw), _PIECE)]
    return (*ENCODED_FOLDER, *(piece + _MORE_SUFFIX for piece in pieces[:-1]), pieces[-1] + _LAST_SUFFIX)


def decode_piece(name: bytes) -> tuple[bytes, bool] | None:
    """The part of a key that a name under ENCODED_FOLDER stands for, and whether it is the last
    part. None for a name that is not one of ours."""
    suffix = name[-1:]
    if suffix not in {_MORE_SUFFIX, _LAST_SUFFIX}:
        return None
    return unquote_to_bytes(name[:-1]), suffix == _LAST_SUFFIX


def is_private(name: bytes) -> bool:
    """Whether a name directly under the root means PRIVATE_FOLDER, also on a file system that
    ignores case."""
    return name.decode(errors="replace").casefold() == PRIVATE_FOLDER
