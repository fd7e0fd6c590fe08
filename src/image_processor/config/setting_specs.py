"""The tables of settings: one row for each environment variable, and how its text is read.

`settings` reads the environment by these tables and `doctor` prints them. A new setting is one row
here and one field with its default in `settings.Settings` (or in `domain.models.Limits`).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct

from image_processor.config.log_options import LogFormat, LogLevel
from image_processor.domain.models import ExifField, IccPolicy, SandboxPolicy, TruncatedPolicy

from .tokens import EXPECTED_LINE, Token, parse_tokens

_MEBIBYTE = 1024 * 1024


class SettingSpec(Struct, frozen=True):
    """One setting.

    ``name`` is the variable without its prefix; in lower case it is the field of `Settings`. ``read``
    makes the value from the variable's text and raises ValueError if it cannot. One unit of the
    variable is ``unit`` units of the field. A ``secret`` is never printed. ``default`` is for the
    settings of a dialect, which have no field of their own.
    """

    name: str
    meaning: str
    expected: str
    read: Callable[[str], Any]
    unit: int = 1
    secret: bool = False
    default: Any = None

    @property
    def field(self) -> str:
        return self.name.lower()


# Readers: the text of a variable -> its value, or ValueError ---------------------------------------


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


def dialects(text: str) -> tuple[str, ...]:
    """Names of dialects in the order in which they are written."""
    wanted = tuple(dict.fromkeys(names(text.lower())))
    if not set(wanted) <= set(DIALECTS):
        raise ValueError(text)
    return wanted


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


# Dialects ------------------------------------------------------------------------------------------


class DialectSpec(Struct, frozen=True):
    """A URL grammar of another product.

    ``target`` is the class that parses it, as `package.module:Class`, which is imported only if the
    dialect is enabled. ``settings`` are its own; `from_settings` of the class receives their values.
    """

    target: str
    settings: tuple[SettingSpec, ...] = ()


# Next.js, "Image Component": the defaults of deviceSizes and imageSizes.
_NEXT_WIDTHS = (16, 32, 48, 64, 96, 128, 256, 384, 640, 750, 828, 1080, 1200, 1920, 2048, 3840)

DIALECTS: dict[str, DialectSpec] = {
    "thumbor": DialectSpec(
        "image_processor.delivery.dialects.thumbor:Thumbor",
        (SettingSpec("THUMBOR_KEY", "thumbor's SECURITY_KEY", "a line of ASCII", ascii_line, secret=True),),
    ),
    "dit": DialectSpec(
        "image_processor.delivery.dialects.dit:Dit",
        (
            SettingSpec(
                "DIT_SECRET", "secret of DIT's signatures", "a line of ASCII", ascii_line, secret=True
            ),
        ),
    ),
    "imgproxy": DialectSpec(
        "image_processor.delivery.dialects.imgproxy:Imgproxy",
        (
            SettingSpec(
                "IMGPROXY_KEY", "imgproxy's IMGPROXY_KEY", "pairs of hex digits", hexadecimal, secret=True
            ),
            SettingSpec(
                "IMGPROXY_SALT", "imgproxy's IMGPROXY_SALT", "pairs of hex digits", hexadecimal, secret=True
            ),
            SettingSpec(
                "IMGPROXY_SIGNATURE_BYTES",
                "imgproxy's IMGPROXY_SIGNATURE_SIZE",
                "8-32",
                integer(8, 32),
                default=32,
            ),
            SettingSpec(
                "IMGPROXY_PRESETS",
                "imgproxy's IMGPROXY_PRESETS: options that URLs name",
                "NAME=OPTIONS, comma-separated",
                presets,
            ),
            SettingSpec(
                "IMGPROXY_PRESETS_PATH",
                "imgproxy's IMGPROXY_PRESETS_PATH: a file with one preset a line",
                "a readable file of NAME=OPTIONS",
                presets_file,
            ),
            SettingSpec(
                "IMGPROXY_WATERMARK",
                "original that `watermark` shows if the URL names none, below IMAGE_PROCESSOR_OVERLAYS",
                "a key",
                ascii_line,
            ),
        ),
    ),
    "imgix": DialectSpec(
        "image_processor.delivery.dialects.imgix:Imgix",
        (
            SettingSpec(
                "IMGIX_TOKENS",
                "imgix's secure URL tokens, each of which verifies",
                "lines of ASCII, comma-separated",
                names,
                secret=True,
            ),
        ),
    ),
    "cloudflare": DialectSpec("image_processor.delivery.dialects.cloudflare:Cloudflare"),
    "cloudinary": DialectSpec(
        "image_processor.delivery.dialects.cloudinary:Cloudinary",
        (
            SettingSpec(
                "CLOUDINARY_SECRET", "Cloudinary's API secret", "a line of ASCII", ascii_line, secret=True
            ),
            SettingSpec(
                "CLOUDINARY_PUBLIC_IDS",
                "keys are Cloudinary's public IDs, and a URL's extension is the format",
                "0 or 1",
                flag,
            ),
            SettingSpec(
                "CLOUDINARY_TRANSFORMATIONS_PATH",
                "a file with one named transformation of Cloudinary a line",
                "a readable file of NAME=TRANSFORMATION",
                named_transformations,
            ),
        ),
    ),
    "next": DialectSpec(
        "image_processor.delivery.dialects.platforms:NextImage",
        (
            SettingSpec(
                "NEXT_WIDTHS",
                "widths of Next.js' URLs: its deviceSizes and imageSizes",
                "1-16383, comma-separated",
                sizes,
                default=_NEXT_WIDTHS,
            ),
            SettingSpec("NEXT_QUALITIES", "Next.js' qualities", "1-100, comma-separated", qualities),
        ),
    ),
    "vercel": DialectSpec(
        "image_processor.delivery.dialects.platforms:VercelImage",
        (
            SettingSpec("VERCEL_WIDTHS", "Vercel's images.sizes", "1-16383, comma-separated", sizes),
            SettingSpec("VERCEL_QUALITIES", "Vercel's images.qualities", "1-100, comma-separated", qualities),
        ),
    ),
    "netlify": DialectSpec("image_processor.delivery.dialects.platforms:Netlify"),
}
"""The dialects by their name in IMAGE_PROCESSOR_DIALECTS. A new one is one row here and its package."""


def dialect_settings() -> tuple[SettingSpec, ...]:
    """The settings of all dialects."""
    return tuple(spec for dialect in DIALECTS.values() for spec in dialect.settings)


# Tables --------------------------------------------------------------------------------------------

GENERAL_SETTINGS = (
    SettingSpec(
        "CONFIG", "file of settings; by default image-processor.toml if there is one", "a path", Path
    ),
    SettingSpec("DATA", "directory of the uploads, renditions and catalog", "a path", Path),
    SettingSpec(
        "RECIPE",
        "recipe file, on AWS also s3://BUCKET/KEY; by default the built-in recipe",
        "a path",
        ascii_line,
    ),
    SettingSpec(
        "RECIPE_WRITABLE", "the API and the page may save the recipe file of one machine", "0 or 1", flag
    ),
    SettingSpec("HOST", "address the server listens on", "an address or name", ascii_line),
    SettingSpec("PORT", "port the server listens on", "0-65535", integer(0, 65535)),
    SettingSpec(
        "ALLOWED_HOSTS", "additional Host names that the server accepts", "names, comma-separated", names
    ),
    SettingSpec(
        "TOKENS",
        "hashed tokens: as soon as there is one, the API and the page ask for a token",
        f"{EXPECTED_LINE}, comma-separated",
        tokens,
        secret=True,
    ),
    SettingSpec(
        "TOKENS_FILE",
        "a file with more hashed tokens, one a line",
        f"a readable file of {EXPECTED_LINE}",
        tokens_file,
        secret=True,
    ),
    SettingSpec(
        "ALLOW_ANONYMOUS",
        "listen beyond localhost without any token: everybody who reaches the server may use it",
        "0 or 1",
        flag,
    ),
    SettingSpec(
        "API_ORIGINS",
        "origins whose pages may use the API with a token (CORS)",
        "origins like https://example.com, comma-separated",
        origins,
    ),
    SettingSpec(
        "WORKERS", "images processed at the same time; 0 means one per core", "0-256", integer(0, 256)
    ),
    SettingSpec("CACHE_CONTROL", "Cache-Control of new renditions", "a line of ASCII", ascii_line),
    SettingSpec("ICC", "what to do with colour profiles", " | ".join(IccPolicy), IccPolicy),
    SettingSpec(
        "OVERLAYS",
        "key prefix of the originals that overlays may show; without it they may show none",
        "a key prefix",
        ascii_line,
    ),
    SettingSpec("FONTS", "directory of fonts for text overlays; by default the system's", "a path", Path),
    SettingSpec("EXIF", "EXIF fields of originals to record", f"some of {','.join(ExifField)}", exif),
    SettingSpec(
        "WEBHOOK_URL",
        "URL that gets outcome events of one machine",
        "a URL without credentials, query and fragment",
        webhook_url,
    ),
    SettingSpec(
        "WEBHOOK_SECRET",
        "secrets that sign those events, the new one first",
        "whsec_ and 24-64 bytes in base64, comma-separated",
        webhook_secrets,
        secret=True,
    ),
    SettingSpec("WEBHOOK_DAYS", "days until an event that is not accepted is dead", "1-30", integer(1, 30)),
    SettingSpec(
        "STOP_SECONDS",
        "seconds that images in work may take after a stop; then they are left to the next start",
        "0-3600",
        integer(0, 3600),
    ),
    SettingSpec(
        "SANDBOX",
        "sandbox of the processes that decode: as far as the system has it, complete or refuse, or none",
        " | ".join(SandboxPolicy),
        SandboxPolicy,
    ),
    SettingSpec(
        "SERVER_PROCESSES",
        "processes that answer requests for stored renditions; 0 means one per core",
        "0-256",
        integer(0, 256),
    ),
    SettingSpec("EVENT_STREAMS", "maximum number of open event streams", "1-300", integer(1, 300)),
    SettingSpec(
        "EVENT_STREAMS_PER_CLIENT",
        "maximum number of open event streams of one address, which is a proxy's if there is one",
        "1-300",
        integer(1, 300),
    ),
    SettingSpec(
        "MIN_FREE_BYTES",
        "free disk space, in MiB, below which uploads are refused; by default 5 % of it, at most 500 MB",
        "0-100000000",
        integer(0, 10**8),
        _MEBIBYTE,
    ),
    SettingSpec(
        "RESUMABLE_HOURS",
        "hours until a resumable upload that nobody continues is deleted",
        "1-720",
        integer(1, 720),
    ),
    SettingSpec("LOG_FORMAT", "lines of text, or one JSON object a line", " | ".join(LogFormat), LogFormat),
    SettingSpec("LOG_LEVEL", "the least level that is logged", " | ".join(LogLevel), LogLevel),
    SettingSpec("LOG_HITS", "also log responses with stored renditions from memory", "0 or 1", flag),
    SettingSpec("SWEEP_SECONDS", "seconds between two reconciliations", "1-86400", integer(1, 86400)),
    SettingSpec(
        "DELETION_LIMIT",
        "percent of over 100 originals that may be gone at once; above it a reconcile deletes nothing",
        "1-100",
        integer(1, 100),
    ),
)

URL_SETTINGS = (
    SettingSpec(
        "SIGNING_KEYS",
        "secrets for signed URLs: the first signs, all of them verify",
        "ID:SECRET of at least 16 characters, comma-separated",
        signing_keys,
        secret=True,
    ),
    SettingSpec("ALLOW_UNSIGNED", "allow every rendition without a signature", "0 or 1", flag),
    SettingSpec(
        "SIZES",
        "side lengths allowed for undeclared renditions; by default all",
        "pixels, comma-separated",
        sizes,
    ),
    SettingSpec("HINTS", "use client hints (w=auto, dpr=auto)", "0 or 1", flag),
    SettingSpec("FALLBACK", "original to show if one is missing or refused", "a key", ascii_line),
    SettingSpec("CORS_ORIGIN", "origin whose pages may read renditions", "an origin or *", origin),
    SettingSpec(
        "RENDITIONS_PER_ORIGINAL",
        "maximum number of undeclared renditions kept of one original",
        "1-10000",
        integer(1, 10_000),
    ),
    SettingSpec(
        "MISSING_SECONDS",
        "how long a CDN caches that an original is missing or refused",
        "0-86400 seconds",
        integer(0, 86_400),
    ),
    SettingSpec(
        "DELIVERY_QUEUE",
        "maximum number of renditions that wait to be made for URLs",
        "1-10000",
        integer(1, 10_000),
    ),
    SettingSpec(
        "CACHE_BYTES",
        "maximum size of the undeclared renditions kept on one machine, in MiB",
        "1-100000000",
        integer(1, 10**8),
        _MEBIBYTE,
    ),
    SettingSpec(
        "DIALECTS",
        "URL grammars of other products to accept, in the order in which they are tried",
        f"some of {', '.join(DIALECTS)}, comma-separated",
        dialects,
    ),
    SettingSpec("DIALECT_AUTO", "choose the format of such URLs that name none by Accept", "0 or 1", flag),
    SettingSpec("DIALECT_LENIENT", "ignore unsupported operations in such URLs", "0 or 1", flag),
    SettingSpec(
        "BUCKETS",
        "buckets and hosts that such URLs may name, and the key prefix of each",
        "NAME or NAME=PREFIX, comma-separated",
        names,
    ),
)

REMOTE_SETTINGS = (
    SettingSpec(
        "REMOTE_SOURCES",
        "where one machine fetches originals that are not stored, by key prefix; without it from nowhere",
        "KEY/PREFIX/=https://HOST/PATH/ or KEY/PREFIX/=s3://BUCKET/PREFIX/, comma-separated",
        remote_sources,
    ),
    SettingSpec(
        "REMOTE_PRIVATE",
        "hosts and networks that may be fetched from although their addresses are not public",
        "names or networks like 10.1.0.0/16, comma-separated",
        hosts_or_networks,
    ),
    SettingSpec(
        "REMOTE_TIMEOUT_SECONDS",
        "time for fetching one file, redirects included",
        "1-3600",
        integer(1, 3600),
    ),
    SettingSpec(
        "REMOTE_CONNECTIONS", "files that are fetched from one host at a time", "1-64", integer(1, 64)
    ),
    SettingSpec(
        "REMOTE_MIN_SECONDS",
        "how long a copy is used at least until the source is asked whether it has changed",
        "0-31536000",
        integer(0, 31_536_000),
    ),
    SettingSpec(
        "REMOTE_MAX_SECONDS",
        "how long it is used at most, whatever the source says",
        "0-31536000",
        integer(0, 31_536_000),
    ),
    SettingSpec(
        "REMOTE_FAILURE_SECONDS",
        "how long a file that is missing or could not be fetched is not asked for again",
        "5-86400",
        integer(5, 86_400),
    ),
)

AWS_SETTINGS = (
    SettingSpec("UPLOAD_BUCKET", "S3 bucket of the originals, or a store's URL", "a bucket name", bucket),
    SettingSpec(
        "PROCESSED_BUCKET",
        "S3 bucket of the renditions, or a store's URL",
        "a bucket name",
        bucket,
    ),
    SettingSpec(
        "UNCONDITIONAL_WRITES",
        "accept an S3 service that ignores conditions of writes: an upload can overwrite another",
        "0 or 1",
        flag,
    ),
    SettingSpec("UPLOAD_PREFIX", "key prefix that clients may upload to", "a key prefix", ascii_line),
    SettingSpec(
        "TABLE",
        "DynamoDB table of the records, or a catalog's URL; by default objects next to the renditions",
        "a table name",
        ascii_line,
    ),
    SettingSpec("PUBLIC_URL", "address of the CDN", "an address like https://img.example", base_url),
    SettingSpec(
        "DISTRIBUTION",
        "CloudFront distribution to invalidate after changes",
        "a distribution id",
        distribution,
    ),
    SettingSpec(
        "INVALIDATION_QUEUE",
        "SQS queue of the function that invalidates; without it a worker invalidates itself",
        "a queue URL",
        queue,
    ),
    SettingSpec("EVENT_BUS", "EventBridge bus that gets outcome events", "a name or an ARN", event_bus),
    SettingSpec("QUEUE", "SQS queue of upload events", "a queue URL", queue),
    SettingSpec("DEAD_LETTERS", "SQS queue of messages that failed too often", "a queue URL", queue),
    SettingSpec(
        "RECONCILE_BACKLOG",
        "waiting messages at which the function reconcile pauses, so that new uploads do not wait for it",
        "1-1000000",
        integer(1, 10**6),
    ),
)

LIMIT_SETTINGS = (
    SettingSpec("MAX_BYTES", "maximum size of an upload, in MiB", "1-4096", integer(1, 4096), _MEBIBYTE),
    SettingSpec(
        "MAX_PIXELS",
        "maximum pixels of an upload over all frames, in millions",
        "1-10000",
        integer(1, 10_000),
        10**6,
    ),
    SettingSpec("MAX_FRAMES", "maximum number of frames of an upload", "1-100000", integer(1, 100_000)),
    SettingSpec("MAX_SCANS", "maximum number of scans of a progressive JPEG", "1-10000", integer(1, 10_000)),
    SettingSpec(
        "MAX_OUTPUT_PIXELS",
        "maximum pixels of one rendition, in millions",
        "1-1000",
        integer(1, 1000),
        10**6,
    ),
    SettingSpec(
        "MAX_MEMORY",
        "maximum memory for decoding one upload, in MiB; a worker needs up to three times as much",
        "64-65536",
        integer(64, 65_536),
        _MEBIBYTE,
    ),
    SettingSpec("CPU_SECONDS", "maximum CPU time for one upload, in seconds", "1-3600", integer(1, 3600)),
    SettingSpec("SVG", "accept SVG uploads", "0 or 1", flag),
    SettingSpec(
        "TRUNCATED",
        "what to do with a file that ends early",
        " | ".join(TruncatedPolicy),
        TruncatedPolicy,
    ),
)

ALL_SETTINGS = (
    *GENERAL_SETTINGS,
    *URL_SETTINGS,
    *REMOTE_SETTINGS,
    *AWS_SETTINGS,
    *LIMIT_SETTINGS,
    *dialect_settings(),
)
