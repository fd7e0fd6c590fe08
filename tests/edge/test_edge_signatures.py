"""The edge and the package agree on every signature; test vectors for other implementations."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from edge_function import Host, viewer_request
from edge_messages import Answer, Request
from edge_signed import KEYS, code_of, signed
from edge_stack import function_code

from image_processor.delivery.url.parser import parse_url
from image_processor.delivery.url.signing import Keyring
from image_processor.domain.errors import (
    Forbidden,
    SignatureExpired,
    SignatureKeyUnknown,
    SignatureMismatch,
    SignatureMissing,
)

# ------------------------------------------------------------------ edge and package agree

VECTORS = (
    # key, query without the signature, key id, expiry, signature
    ("photos/cat.jpg", "w=640&fm=auto", "new", None, "7ovy21O6RYG3DImOpte9ND3IARmeNVpU7R5cawe0HXw"),
    ("a b/c+d&e.jpg", "preset=Card~20x", "old", 1900000000, "kjDkNI669vHdlwd_GIjgn0c2Htc4Piffo66eHd5IyEE"),
    (
        "Grüße/猫🐱.png",
        "over=hero&over=logo&w=3",
        "new",
        1900000000,
        "z9uspPRSQx1z6lUBrG8uzo0Q5qYWyXDqzZa-BkirRoY",
    ),
    ("100%.jpg", "", "new", None, "qw-jPaUuvSgw1o5p9u_tdWVtqpKHKwER06AWhLbkXu4"),
)


@pytest.mark.parametrize(("key", "query", "kid", "ends", "signature"), VECTORS)
def test_the_documented_signature_vectors(
    host: Host, key: str, query: str, kid: str, ends: int | None, signature: str
) -> None:
    path = quote(key)
    keyring = Keyring({kid: dict(KEYS)[kid].encode()})
    assert keyring.sign(parse_url(path, query), ends).mac == signature
    end = f"&expires={ends}" if ends else ""
    signed = f"{query}&kid={kid}{end}&s={signature}".lstrip("&")
    store = {f"k/{name}": secret for name, secret in KEYS}
    passed = viewer_request(host, function_code(), Request("GET", f"/{path}", signed), store, 1_800_000_000)
    assert isinstance(passed, Request), passed


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("w=3", SignatureMissing),
        ("w=3&kid=new", SignatureMissing),
        ("w=3&expires=1900000000", SignatureMissing),
        ("w=3&s=", SignatureMissing),
        ("w=3&s=x", SignatureKeyUnknown),
        ("w=3&s=x&kid=none", SignatureKeyUnknown),
        ("w=3&s=x&kid=__proto__", SignatureKeyUnknown),
        ("w=3&s=x&kid=new", SignatureMismatch),
        (signed("cat.jpg", "w=3")[:-1], SignatureMismatch),
        (signed("cat.jpg", "w=3") + "x", SignatureMismatch),
        (signed("cat.jpg", "w=3", ends=-1), SignatureExpired),
        (signed("cat.jpg", "w=3", ends=0), SignatureExpired),
        (signed("cat.jpg", "w=3", ends=1), None),
    ],
)
def test_edge_and_package_agree_on_signatures(host: Host, query: str, error: type[Forbidden] | None) -> None:
    keyring = Keyring({kid: secret.encode() for kid, secret in KEYS})
    verdict = None
    try:
        keyring.verify(parse_url("cat.jpg", query), 1_800_000_000)
    except Forbidden as refused:
        verdict = refused
    assert type(verdict) is (error or type(None))
    store = {"names": "1", **{f"k/{kid}": secret for kid, secret in KEYS}}
    answer = viewer_request(host, function_code(), Request("GET", "/cat.jpg", query), store, 1_800_000_000)
    if verdict is None:
        assert isinstance(answer, Request)
        return
    assert isinstance(answer, Answer)
    assert (answer.status, code_of(answer)) == (403, verdict.code)
    assert json.loads(answer.body)["fix"] == verdict.fix
