"""SHA-256 the lean way and OpenSSL's: one answer."""

from __future__ import annotations

import hashlib

import pytest

from image_processor import digests


@pytest.mark.parametrize("size", [0, 1, 64, 256 * 1024, 256 * 1024 + 1])
def test_is_hashlib_s_on_either_way(size: int) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert len(data) == size
    assert digests.sha256(data) == hashlib.sha256(data).digest()
    assert digests.sha256_hex(data) == hashlib.sha256(data).hexdigest()


def test_is_hashlib_s_where_python_has_no_lean_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "_lean", None)
    assert digests.sha256_hex(b"abc") == hashlib.sha256(b"abc").hexdigest()
