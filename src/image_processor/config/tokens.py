"""Tokens of the REST API: what the settings hold of them, and how a new one is made.

A token is 256 random bits, so its SHA-256 is all that a server stores: nobody can guess a token from it. A
slow hash such as scrypt is for passwords, which people choose; here it would only let strangers take the
server's time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from image_processor.domain.hashing import sha256_hex

EXPECTED_LINE = "SCOPE:NAME:SHA-256 as `image-processor token create` prints it"

_PREFIX = "imgp_"
_TOKEN = re.compile(_PREFIX + r"[A-Za-z0-9_-]{43}")
_NAME = r"[A-Za-z0-9_.-]{1,64}"
_LINE = re.compile(rf"(read|write|admin):({_NAME}):([0-9a-f]{{64}})")


class Scope(StrEnum):
    """What the holder of a token may do. Each scope includes those before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    def covers(self, needed: Scope) -> bool:
        """Whether a token of this scope may do what needs ``needed``."""
        order = list(Scope)
        return order.index(self) >= order.index(needed)


class Token(Struct, frozen=True):
    """What a server knows of a token. ``digest`` is the SHA-256 of its text in hexadecimal digits."""

    scope: Scope
    name: str
    digest: str

    def __str__(self) -> str:
        return f"{self.scope}:{self.name}:{self.digest}"


def is_token_name(text: str) -> bool:
    """Whether ``text`` can name a token."""
    return re.fullmatch(_NAME, text) is not None


def parse_tokens(lines: Iterable[str]) -> tuple[Token, ...]:
    """The tokens of lines `SCOPE:NAME:SHA-256`. Raises ValueError for another line, for a repeated name, and
    if there is none: a forgotten token must not open the server."""
    matches = [_LINE.fullmatch(line.strip()) for line in lines]
    tokens = tuple(Token(Scope(match[1]), match[2], match[3]) for match in matches if match)
    if len({token.name for token in tokens}) != len(matches) or not tokens:
        raise ValueError
    return tokens


def create_token(scope: Scope, name: str | None = None) -> tuple[str, Token]:
    """A new token: its text, which is stored nowhere, and what a server has to know of it. Without a name it
    is named by the beginning of its digest."""
    import secrets  # noqa: PLC0415 - not needed where settings are only read

    text = _PREFIX + secrets.token_urlsafe(32)
    digest = sha256_hex(text.encode())
    return text, Token(scope, name or digest[:8], digest)


def find_token(tokens: Iterable[Token], text: str) -> Token | None:
    """The token whose text this is; None if there is none.

    Takes the same time wherever the first difference is, and whichever token it is.
    """
    import hmac  # noqa: PLC0415 - as above

    if not _TOKEN.fullmatch(text):
        return None
    digest = sha256_hex(text.encode())
    found = None
    for token in tokens:
        if hmac.compare_digest(token.digest, digest):
            found = token
    return found
