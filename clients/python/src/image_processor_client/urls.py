"""Builds URLs of renditions and signs them, without a request to the server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta
from typing import Self
from urllib.parse import quote

from msgspec import Struct

from .canonical import Pairs, Value, canonical_pairs

MAX_KEY_BYTES = 1024

Expires = int | datetime | timedelta
"""When a signature ends: Unix seconds, a time with its zone, or from now."""

_SIGNING_KEY = re.compile(r"([A-Za-z0-9_-]{1,32}):([!-~]{16,256})")
_BASE_URL = re.compile(r"((https?:)?//[A-Za-z0-9.:\[\]-]+)?(/(?!/)[A-Za-z0-9._~!$&*+,;=:@/%-]*)?")


class SigningKey(Struct, frozen=True):
    """A key of the server's IMAGE_PROCESSOR_SIGNING_KEYS. ``kid`` is its id."""

    kid: str
    secret: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """The first key of `ID:SECRET,...`, which is the one that signs. Raises ValueError."""
        match = _SIGNING_KEY.fullmatch(text.split(",", maxsplit=1)[0].strip())
        if match is None:
            raise ValueError("expected ID:SECRET with a secret of 16-256 characters, got something else")
        return cls(match[1], match[2].encode())

    def __repr__(self) -> str:
        return f"SigningKey(kid={self.kid!r}, secret=...)"

    def sign(self, key: str, pairs: Pairs, expires: int | None = None) -> str:
        """The parameters of the signature, as the end of a query: `kid=...&expires=...&s=...`."""
        signed = [*pairs, ("kid", self.kid), *([("expires", str(expires))] if expires is not None else [])]
        signed.sort(key=lambda pair: pair[0])
        text = f"{key}?" + "&".join(f"{name}={value}" for name, value in signed)
        digest = hmac.new(self.secret, text.encode(), hashlib.sha256).digest()
        mac = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        until = f"&expires={expires}" if expires is not None else ""
        return f"kid={self.kid}{until}&s={mac}"


class UrlBuilder:
    """Builds URLs of renditions below ``base_url``: the address of the CDN, or `https://.../renditions` of a
    server on one machine.

    ``signing_key`` is `ID:SECRET` as in the server's IMAGE_PROCESSOR_SIGNING_KEYS. Without one, URLs are not
    signed and open what the recipe's public presets declare. Keep it out of what visitors can read.
    """

    def __init__(self, base_url: str, signing_key: SigningKey | str | None = None) -> None:
        if not _BASE_URL.fullmatch(base_url):
            raise ValueError(f"expected a URL such as https://img.example, or a path, got {base_url!r}")
        self.base_url = base_url.rstrip("/")
        self.signing_key = SigningKey.parse(signing_key) if isinstance(signing_key, str) else signing_key

    def __repr__(self) -> str:
        return f"UrlBuilder({self.base_url!r}, {self.signing_key!r})"

    def url(
        self,
        key: str,
        transformation: str = "",
        /,
        *,
        expires: Expires | None = None,
        signed: bool | None = None,
        **parameters: Value,
    ) -> str:
        """The URL of a rendition of the original ``key``: `url("photos/cat.jpg", w=640, fm="auto")`, or
        `url("photos/cat.jpg", "w=640,fm=auto")`.

        It is signed if there is a key, unless ``signed`` is False; then for ever, unless it ``expires``.
        A URL that does not change is cached best: prefer one without an end, or with a rounded one.
        Raises ValueError for a parameter that does not exist, without any, and for a key that no store has.
        """
        pairs = canonical_pairs(transformation, parameters)
        if not pairs:
            raise ValueError("expected parameters such as w=640, got none")
        query = "&".join(f"{name}={value}" for name, value in pairs)
        url = f"{self.base_url}/{quote_key(key)}?{query}"
        if signed is None:
            signed = self.signing_key is not None
        if not signed:
            if expires is not None:
                raise ValueError("expected a signing key for a URL that expires, got none")
            return url
        if self.signing_key is None:
            raise ValueError("expected a signing key, got none")
        return f"{url}&{self.signing_key.sign(key, pairs, _unix_seconds(expires))}"


def quote_key(key: str) -> str:
    """``key`` as a path. Clients resolve `.` and `..` segments, even percent-encoded ones; the slashes of a
    key with such a segment are encoded, so that it is one segment. Raises ValueError."""
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        raise ValueError(f"expected a key of valid Unicode, got {key!r}") from None
    if not 1 <= length <= MAX_KEY_BYTES:
        raise ValueError(f"expected a key of 1-{MAX_KEY_BYTES} bytes of UTF-8, got {length}")
    dotted = any(segment in {".", ".."} for segment in key.split("/"))
    return quote(key, safe="=,~" if dotted else "/=,~")


def image_id(bucket: str, key: str) -> str:
    """The id of the original ``key``. ``bucket`` is the name of the upload bucket; on one machine with a
    directory it is `uploads`."""
    digest = hashlib.sha256(f"{bucket}\0{key}".encode()).digest()
    return base64.b32encode(digest[:16]).decode().rstrip("=").lower()


def _unix_seconds(expires: Expires | None) -> int | None:
    if isinstance(expires, timedelta):
        expires = datetime.now(UTC) + expires
    if isinstance(expires, datetime):
        if expires.tzinfo is None:
            raise ValueError(f"expected a time with its zone, got {expires.isoformat()}")
        return int(expires.timestamp())
    return expires
