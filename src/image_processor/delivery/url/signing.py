"""Delivery, step 1: signs URLs and verifies signatures with HMAC-SHA256 over `ParsedUrl.string_to_sign`."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct, field
from msgspec.structs import replace

from image_processor.domain.errors import (
    SignatureExpired,
    SignatureKeyUnknown,
    SignatureMismatch,
    SignatureMissing,
)
from image_processor.domain.redaction import redacted_repr

from .parser import ParsedUrl, UrlSignature

_UNIX_SECONDS = re.compile(r"[0-9]{1,11}")


class Keyring(Struct, frozen=True):
    """Secrets by key id (`kid`). The first one signs, each of them verifies.

    To rotate, put a new key first and remove the old one when its URLs have expired.
    """

    secrets: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))

    def __repr__(self) -> str:
        return redacted_repr(self, ("secrets",))

    def __bool__(self) -> bool:
        return bool(self.secrets)

    def sign(self, url: ParsedUrl, expires: int | None = None) -> UrlSignature:
        """The signature of ``url``, valid until ``expires`` (Unix seconds; None: it does not expire).

        Raises SignatureKeyUnknown if there is no key.
        """
        kid = next(iter(self.secrets), None)
        if kid is None:
            raise SignatureKeyUnknown("expected a signing key in IMAGE_PROCESSOR_SIGNING_KEYS, got none")
        unsigned = UrlSignature("", kid, None if expires is None else str(expires))
        text = replace(url, signature=unsigned).string_to_sign
        return replace(unsigned, mac=_mac(self.secrets[kid], text))

    def verify(self, url: ParsedUrl, now: float) -> None:
        """Return if the signature of ``url`` is valid at ``now`` (Unix seconds).

        Raises SignatureMissing, SignatureKeyUnknown, SignatureMismatch, and SignatureExpired only after
        the signature itself was verified, so that guessing reveals nothing.
        """
        signature = url.signature
        if signature is None or not signature.mac:
            raise SignatureMissing("expected a signature, got none")
        secret = self.secrets.get(signature.kid or "")
        if secret is None:
            raise SignatureKeyUnknown(f"expected the id of a key in use for kid, got {signature.kid!r}")
        expected = _mac(secret, url.string_to_sign)
        if not hmac.compare_digest(expected.encode(), signature.mac.encode()):
            raise SignatureMismatch("expected a signature of this URL, got another one")
        if signature.expires is None:
            return
        if not _UNIX_SECONDS.fullmatch(signature.expires) or int(signature.expires) <= now:
            raise SignatureExpired(
                f"expected a URL that has not expired, got one valid until {signature.expires}"
            )


def signature_query(signature: UrlSignature) -> str:
    """The signature's parameters as the end of a query string."""
    pairs = [("kid", signature.kid), ("expires", signature.expires), ("s", signature.mac)]
    return "&".join(f"{name}={value}" for name, value in pairs if value is not None)


def _mac(secret: bytes, text: str) -> str:
    """43 characters of unpadded URL-safe base64 (RFC 4648, section 5)."""
    # A lone surrogate in a key must lead to an error response, not to a crash: no store holds such a key.
    digest = hmac.new(secret, text.encode(errors="surrogatepass"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
