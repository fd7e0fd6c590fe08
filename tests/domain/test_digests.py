"""SHA-256 the lean way and OpenSSL's: one answer."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_processor.domain import hashing as digests


@pytest.mark.parametrize("size", [0, 1, 64, 256 * 1024, 256 * 1024 + 1])
def test_is_hashlib_s_on_either_way(size: int) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert len(data) == size
    assert digests.sha256(data) == hashlib.sha256(data).digest()
    assert digests.sha256_hex(data) == hashlib.sha256(data).hexdigest()


def test_is_hashlib_s_where_python_has_no_lean_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "_lean", None)
    assert digests.sha256_hex(b"abc") == hashlib.sha256(b"abc").hexdigest()


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_the_keyed_one_is_hmac_s(key: bytes, data: bytes) -> None:
    assert digests.hmac_sha256(key, data) == hmac.digest(key, data, "sha256")


@pytest.mark.parametrize("length", [0, 63, 64, 65])
def test_a_key_round_the_length_of_a_block(length: int) -> None:
    assert digests.hmac_sha256(b"k" * length, b"x") == hmac.digest(b"k" * length, b"x", "sha256")
