"""Reads the texts of settings: each function makes a value of a variable's text, or raises ValueError.

`setting_specs` names one of them for each setting.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path

from image_processor.domain.models import ExifField

from .tokens import Token, parse_tokens


def integer(low: int, high: int) -> Callable[[str], int]:
    """A reader of integers from ``low`` to ``high``."""

    def read(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return read


def flag(text: str) -> bool:
    if text not in {"0", "1"}:
        raise ValueError(text)
    return text == "1"


def matching(pattern: str) -> Callable[[str], str]:
    """A reader of texts that match ``pattern`` from end to end."""

    def read(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(text)
        return text

    return read


ascii_line = matching(r"[ -~]+")
# AWS, "General purpose bucket naming rules"; or a URL that image_processor.storage opens.
bucket = matching(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]|[a-z][a-z0-9+.-]*://[!-~]+")
distribution = matching(r"[A-Z0-9]{1,64}")
# AWS, "Queue and message identifiers": the endpoint, the account's number, the queue's name.
queue = matching(r"https?://[^/?#\s]+/[A-Za-z0-9_./-]{1,256}")
# AWS, "PutEvents" of the EventBridge API reference: EventBusName.
event_bus = matching(r"(arn:aws[\w-]*:events:[a-z0-9-]+:\d{12}:event-bus/)?[/.\w-]{1,256}")
_ORIGIN = r"https?://[A-Za-z0-9.:\[\]-]+"
origin = matching(rf"\*|{_ORIGIN}")
webhook_url = matching(r"https?://[^/?#@\s]+(/[!->@-~]*)?")
_base_url = matching(r"https?://[^/?#\s]+(/[!-~]*)?")


def base_url(text: str) -> str:
    """A URL without query and fragment; the trailing slash is dropped."""
    if "?" in text or "#" in text:
        raise ValueError(text)
    return _base_url(text).rstrip("/")


def names(text: str) -> tuple[str, ...]:
    """Comma-separated names, without the spaces around them."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def origins(text: str) -> tuple[str, ...]:
    """Origins as browsers send them: scheme, name, and a port that is not the scheme's."""
    read_origin = matching(_ORIGIN)
    return tuple(read_origin(name) for name in names(text))


def exif(text: str) -> tuple[ExifField, ...]:
    """EXIF fields in the order of ExifField, whatever order they are written in."""
    wanted = set(map(ExifField, names(text)))
    return tuple(field for field in ExifField if field in wanted)


def signing_keys(text: str) -> tuple[tuple[str, str], ...]:
    """Pairs of key id and secret. Secrets have at least 16 characters, so that none can be guessed."""
    matches = [re.fullmatch(r"([A-Za-z0-9_-]{1,32}):([!-~]{16,256})", name) for name in names(text)]
    keys = tuple((match[1], match[2]) for match in matches if match)
    if len(dict(keys)) != len(matches) or not keys:
        raise ValueError
    return keys


def tokens(text: str) -> tuple[Token, ...]:
    """Hashed tokens of the REST API."""
    return parse_tokens(names(text))


def tokens_file(text: str) -> tuple[Token, ...]:
    """Hashed tokens in a file, one a line; empty lines and lines that begin with # are left out."""
    return parse_tokens(line for line in _lines(text) if line.strip())


def remote_sources(text: str) -> tuple[str, ...]:
    """Where originals may be fetched from, as `remote_sources.parse_remote_sources` reads it."""
    from .remote_sources import parse_remote_sources  # noqa: PLC0415 - its patterns take 5 ms of a cold start

    items = names(text)
    if not parse_remote_sources(items):
        raise ValueError(text)
    return items


def hosts_or_networks(text: str) -> tuple[str, ...]:
    """Names of hosts, addresses, and networks such as 10.1.0.0/16."""
    from ipaddress import ip_network  # noqa: PLC0415 - not for a cold start

    read_host = matching(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
    return tuple(
        str(ip_network(name)) if re.search(r"[:/]|^[0-9.]+$", name) else read_host(name).lower()
        for name in names(text)
    )


def webhook_secrets(text: str) -> tuple[bytes, ...]:
    """Secrets as "Signature scheme" of the Standard Webhooks specification writes them."""
    secrets = tuple(
        base64.b64decode(name.removeprefix("whsec_"), validate=True)
        for name in names(text)
        if name.startswith("whsec_")
    )
    if len(secrets) != len(names(text)) or not secrets or not all(24 <= len(item) <= 64 for item in secrets):
        raise ValueError
    return secrets


def sizes(text: str) -> tuple[int, ...]:
    read_side = integer(1, 16_383)
    return tuple(sorted({read_side(name) for name in names(text)}))


def qualities(text: str) -> tuple[int, ...]:
    read_quality = integer(1, 100)
    return tuple(sorted({read_quality(name) for name in names(text)}))


def presets(text: str) -> dict[str, str]:
    """imgproxy's presets, `NAME=OPTIONS` separated by commas."""
    pairs = [item.strip().partition("=") for item in text.split(",") if item.strip()]
    if not pairs or not all(name.strip() and options for name, _, options in pairs):
        raise ValueError(text)
    return {name.strip(): options.strip() for name, _, options in pairs}


def presets_file(text: str) -> dict[str, str]:
    """imgproxy's presets in a file, one a line; lines that begin with # are comments."""
    return presets(",".join(_lines(text)))


def named_transformations(text: str) -> dict[str, str]:
    """Cloudinary's named transformations in a file, one a line; lines that begin with # are comments."""
    pairs = [line.strip().partition("=") for line in _lines(text) if line.strip()]
    if not pairs or not all(name and transformation for name, _, transformation in pairs):
        raise ValueError(text)
    return {name.strip().removeprefix("t_"): transformation.strip(" /") for name, _, transformation in pairs}


def _lines(path: str) -> list[str]:
    """The lines of a file without comments. Raises ValueError if it cannot be read."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise ValueError(path) from error
    return [line for line in lines if not line.lstrip().startswith("#")]


def hexadecimal(text: str) -> bytes:
    if not re.fullmatch(r"([0-9A-Fa-f]{2})+", text):
        raise ValueError
    return bytes.fromhex(text)
