"""Signed forms of one machine, with which a browser without a token uploads one original: what S3's presigned
POST is on AWS.

The key is in memory: a form ends with the server, and after VALIDITY.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import time
from collections.abc import Callable, Mapping

import msgspec

from image_processor.domain.errors import SignatureExpired, SignatureMismatch

VALIDITY_SECONDS = 15 * 60
POLICY, SIGNATURE = "policy", "signature"


class _Policy(msgspec.Struct, frozen=True):
    """What a form allows: one key, until a second since 1970."""

    key: str
    expires: int


class UploadForms:
    """Signs forms and verifies them."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._secret = secrets.token_bytes(32)

    def sign(self, key: str) -> tuple[dict[str, str], int]:
        """The fields of a form that uploads ``key``, and when it expires, in seconds since 1970."""
        expires = int(self._clock()) + VALIDITY_SECONDS
        policy = base64.b64encode(msgspec.json.encode(_Policy(key, expires))).decode()
        return {"key": key, POLICY: policy, SIGNATURE: self._signature(policy)}, expires

    def verify(self, fields: Mapping[str, str], key: str) -> None:
        """Raises SignatureMismatch unless ``fields`` allow an upload of ``key``, SignatureExpired later."""
        policy = fields.get(POLICY, "")
        if not hmac.compare_digest(self._signature(policy).encode(), fields.get(SIGNATURE, "").encode()):
            raise SignatureMismatch("expected the fields of a form of this server, got others")
        allowed = msgspec.json.decode(base64.b64decode(policy), type=_Policy)
        if key != allowed.key:
            raise SignatureMismatch(f"expected the key {allowed.key!r} of the form, got {key!r}")
        if self._clock() >= allowed.expires:
            raise SignatureExpired("expected a form that has not expired, got an old one")

    def _signature(self, policy: str) -> str:
        return hmac.digest(self._secret, policy.encode("utf-8", "replace"), "sha256").hex()
