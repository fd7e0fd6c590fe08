"""SHA-256 as text, for rendition names, fingerprints, checksums and AWS signatures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def sha256_hex(data: bytes) -> str:
    """The SHA-256 digest as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of(chunks: Iterable[bytes]) -> bytes:
    """The SHA-256 digest, 32 bytes, of ``chunks`` one after the other, however they divide the bytes."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.digest()
