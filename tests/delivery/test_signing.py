"""URL signatures: test vectors for other languages, and which signature is valid for which URL."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from image_processor.delivery.url import signing
from image_processor.delivery.url.parser import ParsedUrl, UrlSignature, canonical_pairs, parse_url
from image_processor.delivery.url.signing import Keyring, signature_query
from image_processor.domain.errors import (
    Forbidden,
    SignatureExpired,
    SignatureKeyUnknown,
    SignatureMismatch,
    SignatureMissing,
)
from support.url_strategies import KEYS, PAIRS, paths, same_meaning

VECTORS = json.loads(Path(__file__).with_name("signatures.json").read_text())
RING = Keyring({"new": b"a secret of the new one", "old": b"a secret of the old one"})
NOW = 1_800_000_000
ADDRESS = ParsedUrl("photos/cat.jpg", (("w", "640"), ("fm", "webp")))


def sealed(address, ring=RING, expires=None):
    return replace(address, signature=ring.sign(address, expires))


def test_a_key_with_a_lone_surrogate_has_a_signature():
    """No URL that is parsed has one, but a caller may build such an address."""
    odd, other = (replace(ADDRESS, key=f"a{char}.jpg") for char in ("\udc80", "\udc81"))
    assert RING.sign(odd, None) != RING.sign(other, None)


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["says"] for vector in VECTORS])
def test_the_signature_of_a_url_is_known(vector):
    """A signature is a plain HMAC: the vectors are for implementations in other languages."""
    address = parse_url(vector["path"], vector["query"])
    ring = Keyring({vector["kid"]: vector["secret"].encode()})
    seal = ring.sign(address, vector["expires"])
    assert replace(address, signature=seal).string_to_sign == vector["signed_text"]
    digest = hmac.digest(vector["secret"].encode(), vector["signed_text"].encode(), hashlib.sha256)
    assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == seal.mac
    assert seal.mac == vector["signature"]
    query = "&".join(filter(None, [vector["query"], signature_query(seal)]))
    ring.verify(parse_url(vector["path"], query), NOW)


@given(st.data(), KEYS, PAIRS.filter(bool), st.none() | st.integers(NOW + 1, 10**11 - 1))
def test_a_signature_is_valid_for_every_spelling(data, key, pairs, expires):
    seal = RING.sign(ParsedUrl(key, canonical_pairs(pairs)), expires)
    query = data.draw(same_meaning(pairs)) + "&" + signature_query(seal)
    RING.verify(parse_url(data.draw(paths(key)), query), NOW)


@given(KEYS, PAIRS, KEYS, PAIRS)
def test_a_signature_is_valid_for_its_url_only(key, pairs, other_key, other_pairs):
    signed = sealed(ParsedUrl(key, canonical_pairs(pairs)))
    other = ParsedUrl(other_key, canonical_pairs(other_pairs), signed.signature)
    assume(other != signed)
    with pytest.raises(SignatureMismatch):
        RING.verify(other, NOW)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"mac": ""}, SignatureMissing),
        ({"mac": "A" * 43}, SignatureMismatch),
        ({"mac": "ü" * 43}, SignatureMismatch),
        ({"kid": None}, SignatureKeyUnknown),
        ({"kid": ""}, SignatureKeyUnknown),
        ({"kid": "other"}, SignatureKeyUnknown),
        ({"kid": "old"}, SignatureMismatch),
        ({"expires": None}, SignatureMismatch),
        ({"expires": str(NOW + 200)}, SignatureMismatch),
    ],
)
def test_an_altered_signature_is_rejected(change, error):
    good = sealed(ADDRESS, expires=NOW + 100)
    RING.verify(good, NOW)
    with pytest.raises(error):
        RING.verify(replace(good, signature=replace(good.signature, **change)), NOW)


def test_an_unsigned_url_is_rejected():
    with pytest.raises(SignatureMissing):
        RING.verify(ADDRESS, NOW)


def test_every_altered_character_of_a_signature_is_rejected():
    good = sealed(ADDRESS)
    for at in range(43):
        for sign in "AZaz09-_=":
            text = good.signature.mac
            altered = text[:at] + sign + text[at + 1 :]
            if altered != text:
                with pytest.raises(SignatureMismatch):
                    RING.verify(replace(good, signature=replace(good.signature, mac=altered)), NOW)


def test_a_url_expires_at_its_second():
    good = sealed(ADDRESS, expires=NOW)
    RING.verify(good, NOW - 0.001)
    with pytest.raises(SignatureExpired):
        RING.verify(good, NOW)


@pytest.mark.parametrize("expires", ["", "soon", "-1", "1e10", "9" * 12, "٩", " 1900000000", "1900000000.5"])
def test_an_expiry_that_is_not_a_time_is_expired(expires):
    seal = UrlSignature("", "new", expires)
    text = replace(ADDRESS, signature=seal).string_to_sign
    signature = signing._mac(RING.secrets["new"], text)
    with pytest.raises(SignatureExpired):
        RING.verify(replace(ADDRESS, signature=replace(seal, mac=signature)), NOW)


def test_parameters_cannot_be_moved_into_the_expiry():
    """The signed texts are equal then; only a numeric expiry tells them apart."""
    seal = RING.sign(ParsedUrl("k", (("fm", "webp"), ("w", "640"))), expires=NOW + 1)
    moved = ParsedUrl("k", (("w", "640"),), replace(seal, expires=f"{NOW + 1}&fm=webp"))
    assert moved.string_to_sign == ParsedUrl("k", (("fm", "webp"), ("w", "640")), seal).string_to_sign
    with pytest.raises(Forbidden):
        RING.verify(moved, NOW)


def test_keys_rotate():
    before = Keyring({"old": RING.secrets["old"]})
    after = Keyring({"new": RING.secrets["new"]})
    url = sealed(ADDRESS, before)
    RING.verify(url, NOW)
    assert sealed(ADDRESS).signature.kid == "new"
    after.verify(sealed(ADDRESS), NOW)
    with pytest.raises(SignatureKeyUnknown):
        after.verify(url, NOW)


def test_without_a_key_nothing_is_signed_or_verified():
    empty = Keyring()
    assert not empty
    with pytest.raises(SignatureKeyUnknown):
        empty.sign(ADDRESS)
    with pytest.raises(SignatureKeyUnknown):
        empty.verify(sealed(ADDRESS), NOW)


def test_signatures_are_compared_in_constant_time(monkeypatch):
    compared = []

    def compare(one, other):
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(signing.hmac, "compare_digest", compare)
    good = sealed(ADDRESS)
    RING.verify(good, NOW)
    right = good.signature.mac.encode()
    with pytest.raises(SignatureMismatch):
        RING.verify(replace(good, signature=replace(good.signature, mac="A")), NOW)
    assert compared == [(right, right), (right, b"A")]


def test_expiry_is_reported_after_the_signature_is_verified():
    late = sealed(ADDRESS, expires=NOW - 1)
    guessed = replace(late, signature=replace(late.signature, mac="A" * 43))
    with pytest.raises(SignatureMismatch):
        RING.verify(guessed, NOW)


def test_a_signature_query_parses_back():
    seal = RING.sign(ADDRESS, NOW)
    assert parse_url(quote(ADDRESS.key), f"w=640&fm=webp&{signature_query(seal)}").signature == seal
    assert signature_query(RING.sign(ADDRESS)).count("=") == 2


def test_repr_hides_secrets():
    assert "secret" not in repr(Keyring(RING.secrets))


def test_a_keyring_without_keys_is_false():
    assert [bool(Keyring()), bool(RING)] == [False, True]


def test_a_key_id_without_a_signature_is_no_signature():
    url = parse_url("photos/cat.jpg", "w=640&kid=new")
    assert url.signature == UrlSignature("", "new", None)
    with pytest.raises(SignatureMissing):
        RING.verify(url, NOW)
