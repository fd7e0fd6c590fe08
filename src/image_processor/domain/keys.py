"""Valid keys, and the keys of an original's renditions.

All renditions of an original are direct children of one prefix, so listing that prefix finds all of
them and none of another original.
"""

from __future__ import annotations

import base64
import hashlib
import re

from .errors import InvalidKey
from .hashing import sha256_hex

MAX_KEY_BYTES = 1024
"""S3's limit for a key, in bytes of UTF-8."""

# A key of up to this many bytes is the prefix of its renditions; the rest of the 1,024 bytes is for
# the rendition's name.
_PLAIN_PREFIX_BYTES = 700
_HASHED_PREFIX = re.compile(r"~[0-9a-f]{64}/\Z")


def check_key(key: str) -> str:
    """``key``, if S3 accepts it. Raises InvalidKey.

    A key has 1 to 1,024 bytes of UTF-8. `..` must not lead above the bucket's root, which is S3's own
    rule ("Naming Amazon S3 objects").
    """
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        raise InvalidKey.one("key", "valid Unicode", key) from None
    if not 1 <= length <= MAX_KEY_BYTES:
        raise InvalidKey.one("key", f"1-{MAX_KEY_BYTES} bytes of UTF-8", f"{length} bytes")
    if "\0" in key:
        raise InvalidKey.one("key", "a key without a NUL character", key)
    if climbs_above_root(key):
        raise InvalidKey.one("key", "a key inside the bucket's root", key)
    return key


def climbs_above_root(key: str) -> bool:
    """Whether ``key``, read from left to right, has more `..` than named segments at any point.

    `.` and empty segments do not count, as in a file system.
    """
    depth = 0
    for segment in key.split("/"):
        depth += {"..": -1, ".": 0, "": 0}.get(segment, 1)
        if depth < 0:
            return True
    return False


def rendition_prefix(key: str) -> str:
    """The prefix of the keys of all renditions of the original ``key``; it ends in `/`.

    A long key is cut and its SHA-256 appended, so that a rendition's name always fits. Such a prefix is
    longer than any uncut one, so the two kinds never collide.
    """
    raw = key.encode()
    if len(raw) <= _PLAIN_PREFIX_BYTES:
        return f"{key}/"
    kept = raw[:_PLAIN_PREFIX_BYTES].decode(errors="ignore")
    return f"{kept}~{sha256_hex(raw)}/"


def original_of(prefix: str) -> str | None:
    """The key of the original whose rendition prefix is ``prefix``; None if the key was cut."""
    return (prefix[:-1] or None) if is_plain_prefix(prefix) else None


def is_plain_prefix(prefix: str) -> bool:
    """Whether the rendition prefix ``prefix`` is the original's key: no digest replaces its end."""
    return len(prefix.encode()) <= _PLAIN_PREFIX_BYTES + 1 or not _HASHED_PREFIX.search(prefix)


def image_id(bucket: str, key: str) -> str:
    """The id of an original: 26 characters of a-z and 2-7, a hash of bucket and key.

    The same key always has the same id, so duplicate events update one record.
    """
    digest = hashlib.sha256(f"{bucket}\0{key}".encode()).digest()
    return base64.b32encode(digest[:16]).decode().rstrip("=").lower()


def percent_decode(text: str, *, plus: bool = False, errors: str = "strict") -> str:
    """``text`` without its percent-encoding, which stands for UTF-8; ``plus`` decodes `+` as a space.

    An incomplete escape stays as it is. Raises UnicodeDecodeError for bytes that are not UTF-8, unless
    ``errors`` (as for `bytes.decode`) says otherwise.
    """
    if plus:
        text = text.replace("+", " ")
    if "%" not in text:
        return text
    from urllib.parse import unquote  # noqa: PLC0415 - with ipaddress, 1 ms of a cold start

    return unquote(text, errors=errors)
