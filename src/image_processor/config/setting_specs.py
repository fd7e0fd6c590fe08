"""The tables of settings: one row for each environment variable.

`settings` reads the environment by these tables and `doctor` prints them. A new setting is one row
here, with a reader of `setting_readers`, and one field with its default in `settings.Settings` (or in
`domain.models.Limits`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct

from image_processor.config.log_options import LogFormat, LogLevel
from image_processor.domain.models import ExifField, IccPolicy, SandboxPolicy, TruncatedPolicy

from .setting_readers import (
    ascii_line,
    base_url,
    bucket,
    distribution,
    event_bus,
    exif,
    flag,
    hexadecimal,
    hosts_or_networks,
    integer,
    named_transformations,
    names,
    origin,
    origins,
    presets,
    presets_file,
    qualities,
    queue,
    remote_sources,
    signing_keys,
    sizes,
    tokens,
    tokens_file,
    webhook_secrets,
    webhook_url,
)
from .tokens import EXPECTED_LINE

_MEBIBYTE = 1024 * 1024


class SettingSpec(Struct, frozen=True):
    """One setting."""

    name: str
    """The variable without its prefix. In lower case it is the field of `Settings`."""
    meaning: str
    expected: str
    read: Callable[[str], Any]
    """Makes the value from the variable's text. Raises ValueError if it cannot."""
    unit: int = 1
    """How many units of the field one unit of the variable is."""
    secret: bool = False
    """Whether the value is never printed."""
    default: Any = None
    """For the settings of a dialect, which have no field of their own."""

    @property
    def field(self) -> str:
        return self.name.lower()


# Dialects ------------------------------------------------------------------------------------------


class DialectSpec(Struct, frozen=True):
    """A URL grammar of another product."""

    target: str
    """The class that parses it, as `package.module:Class`, imported only if the dialect is enabled."""
    settings: tuple[SettingSpec, ...] = ()
    """Its own settings, whose values the class's `from_settings` receives."""


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


def dialects(text: str) -> tuple[str, ...]:
    """Names of dialects in the order in which they are written."""
    wanted = tuple(dict.fromkeys(names(text.lower())))
    if not set(wanted) <= set(DIALECTS):
        raise ValueError(text)
    return wanted


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
        "DECODED_BYTES",
        "maximum size of the decoded originals kept for renditions by URL, in MiB, on one machine with "
        "Linux and without buckets; 0 for none",
        "0-1000000",
        integer(0, 10**6),
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
