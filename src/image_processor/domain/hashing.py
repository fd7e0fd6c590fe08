"""Ground floor: SHA-256 of bytes at hand, for names, stamps, facts and signatures.

Loading hashlib loads OpenSSL, 2 ms of a cold start. For little the standard library has a lean
module of its own, which its `random` goes by for the same reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_LITTLE = 256 * 1024
"""Bytes. More is quicker by OpenSSL, even if it must be loaded first."""

_lean: Callable[[bytes], Any] | None
try:
    from _sha2 import sha256 as _lean  # type: ignore[import-not-found,no-redef]  # Python 3.12 and newer
except ImportError:
    _lean = None


def sha256(data: bytes) -> bytes:
    """The 32 bytes of the digest."""
    digest: bytes = _hash(data).digest()
    return digest


def sha256_hex(data: bytes) -> str:
    """The digest in 64 hexadecimal digits."""
    text: str = _hash(data).hexdigest()
    return text


_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))
_BLOCK = 64


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """The 32 bytes of the keyed digest (RFC 2104). For signing: to verify, hmac.compare_digest is there."""
    block = (sha256(key) if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
    return sha256(block.translate(_OUTER) + sha256(block.translate(_INNER) + data))


def _hash(data: bytes) -> Any:
    if _lean is not None and len(data) <= _LITTLE:
        return _lean(data)
    import hashlib  # noqa: PLC0415 - see the module

    return hashlib.sha256(data)
