"""Delivery: who may ask for what nobody declared. HMAC-SHA256 over an address' `string_to_sign`."""

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

_SECONDS = re.compile(r"[0-9]{1,11}")


class Keyring(Struct, frozen=True):
    """Secrets by the id that URLs name them by. The first one signs, each of them opens: to rotate,
    put a new one first and take the old one out when its URLs have ended."""

    secrets: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))

    def __repr__(self) -> str:
        return redacted_repr(self, ("secrets",))

    def __bool__(self) -> bool:
        return bool(self.secrets)

    def seal(self, address: ParsedUrl, expires: int | None = None) -> UrlSignature:
        """The seal that opens ``address`` until ``expires`` (Unix seconds; None is for ever).

        Raises SignatureKeyUnknown where there is no key.
        """
        kid = next(iter(self.secrets), None)
        if kid is None:
            raise SignatureKeyUnknown("expected a signing key, got none")
        blank = UrlSignature("", kid, None if expires is None else str(expires))
        text = replace(address, seal=blank).string_to_sign
        return replace(blank, signature=_signature(self.secrets[kid], text))

    def verify(self, address: ParsedUrl, now: float) -> None:
        """Return if the seal of ``address`` opens it at ``now`` (Unix seconds).

        Raises SignatureMissing, SignatureKeyUnknown, SignatureMismatch, and SignatureExpired only
        for what was truly signed: nobody learns more by guessing.
        """
        seal = address.seal
        if seal is None or not seal.signature:
            raise SignatureMissing("expected a signature, got none")
        secret = self.secrets.get(seal.kid or "")
        if secret is None:
            raise SignatureKeyUnknown(f"expected the id of a key in use for kid, got {seal.kid!r}")
        right = _signature(secret, address.string_to_sign)
        if not hmac.compare_digest(right.encode(), seal.signature.encode()):
            raise SignatureMismatch("expected a signature of this URL, got another one")
        if seal.expires is None:
            return
        if not _SECONDS.fullmatch(seal.expires) or int(seal.expires) <= now:
            raise SignatureExpired(f"expected a URL that has not ended, got one until {seal.expires}")


def signature_query(seal: UrlSignature) -> str:
    """The seal as the end of a URL's query."""
    pairs = [("kid", seal.kid), ("expires", seal.expires), ("s", seal.signature)]
    return "&".join(f"{name}={value}" for name, value in pairs if value is not None)


def _signature(secret: bytes, text: str) -> str:
    """43 characters of the URL-safe alphabet of base64 (RFC 4648, 5), without padding."""
    # A key may hold half a surrogate pair only if no store can hold it: it must not end in a crash.
    digest = hmac.new(secret, text.encode(errors="surrogatepass"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
