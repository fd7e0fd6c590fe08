"""Settings: the table of variables. `doctor` lists it, and `Settings` has a field for each row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct

from image_processor.domain.models import ExifField, IccPolicy, TruncatedPolicy

from .readers import (
    DIALECTS,
    address,
    bucket,
    dialects,
    distribution,
    exif,
    flag,
    hexadecimal,
    keys,
    line,
    names,
    origin,
    queue,
    sizes,
    whole,
)

_MEBIBYTE = 1024 * 1024


class Row(Struct, frozen=True):
    """One setting: its variable without the prefix, what it means, and how its text is read.

    ``unit`` is how many of the field's unit one of the variable's unit is. A ``secret`` is never shown.
    """

    name: str
    meaning: str
    expected: str
    read: Callable[[str], Any]
    unit: int = 1
    secret: bool = False


# The name of a row is the name of the field it sets, in capitals.
ROWS = (
    Row("DATA", "directory of uploads, renditions and catalog", "a path", Path),
    Row("RECIPE", "recipe file, on AWS also s3://BUCKET/KEY; else the built-in recipe", "a path", line),
    Row("HOST", "address the server listens on", "an address or name", line),
    Row("PORT", "port the server listens on", "0-65535", whole(0, 65535)),
    Row("ALLOWED_HOSTS", "further Host names that the server answers to", "names, comma-separated", names),
    Row("WORKERS", "images processed at the same time; 0 means one per core", "0-256", whole(0, 256)),
    Row("CACHE_CONTROL", "Cache-Control of renditions made from now on", "a line of ASCII", line),
    Row("ICC", "what becomes of colour profiles", " | ".join(IccPolicy), IccPolicy),
    Row(
        "OVERLAYS",
        "what keys of originals begin with that overlays may show; else none may",
        "a key's beginning",
        line,
    ),
    Row("FONTS", "directory of fonts for texts; else the machine's own", "a path", Path),
    Row("EXIF", "what of the EXIF of originals is recorded", f"some of {','.join(ExifField)}", exif),
    Row("SWEEP_SECONDS", "pause between searches for lost uploads", "1-86400", whole(1, 86400)),
)

# What URLs may ask for.
URL_ROWS = (
    Row(
        "SIGNING_KEYS",
        "secrets that sign URLs: the first signs, all of them open",
        "ID:SECRET of at least 16 signs, comma-separated",
        keys,
        secret=True,
    ),
    Row("ALLOW_UNSIGNED", "whether everybody may ask for any rendition", "0 or 1", flag),
    Row("SIZES", "sides that undeclared renditions may have; else any", "pixels, comma-separated", sizes),
    Row("HINTS", "whether client hints are heard (w=auto, dpr=auto)", "0 or 1", flag),
    Row("FALLBACK", "original shown where one is missing or refused", "a key", line),
    Row("CORS_ORIGIN", "whose pages may read renditions", "an origin or *", origin),
    Row(
        "RENDITIONS_PER_ORIGINAL",
        "most undeclared renditions kept of one original",
        "1-10000",
        whole(1, 10_000),
    ),
    Row("DELIVERY_QUEUE", "most renditions that wait to be made for URLs", "1-10000", whole(1, 10_000)),
    Row(
        "CACHE_BYTES",
        "most undeclared renditions kept on one machine, in MiB",
        "1-100000000",
        whole(1, 10**8),
        _MEBIBYTE,
    ),
    Row(
        "DIALECTS",
        "URL grammars of other products that are understood, in the order in which they are tried",
        f"some of {', '.join(DIALECTS)}, comma-separated",
        dialects,
    ),
    Row("DIALECT_LENIENT", "whether they may ask for what is not made here, and do without", "0 or 1", flag),
    Row(
        "BUCKETS", "buckets that such URLs may name; all mean the originals", "names, comma-separated", names
    ),
    Row("THUMBOR_KEY", "thumbor's SECURITY_KEY", "a line of ASCII", line, secret=True),
    Row("DIT_SECRET", "the secret of DIT's signatures", "a line of ASCII", line, secret=True),
    Row("IMGPROXY_KEY", "imgproxy's IMGPROXY_KEY", "pairs of hex digits", hexadecimal, secret=True),
    Row("IMGPROXY_SALT", "imgproxy's IMGPROXY_SALT", "pairs of hex digits", hexadecimal, secret=True),
    Row("IMGPROXY_SIGNATURE_BYTES", "imgproxy's IMGPROXY_SIGNATURE_SIZE", "8-32", whole(8, 32)),
)

AWS_ROWS = (
    Row("UPLOAD_BUCKET", "S3 bucket of originals", "a bucket's name", bucket),
    Row("PROCESSED_BUCKET", "S3 bucket of renditions", "a bucket's name", bucket),
    Row("UPLOAD_PREFIX", "what keys begin with that clients may upload", "a key's beginning", line),
    Row("TABLE", "DynamoDB table of records; else objects beside the renditions", "a table's name", line),
    Row("PUBLIC_URL", "the CDN's address", "an address like https://img.example", address),
    Row(
        "DISTRIBUTION",
        "CloudFront distribution that forgets what changed",
        "a distribution's id",
        distribution,
    ),
    Row("QUEUE", "SQS queue that tells of uploads", "a queue's URL", queue),
    Row("DEAD_LETTERS", "SQS queue of messages that failed too often", "a queue's URL", queue),
)

LIMIT_ROWS = (
    Row("MAX_BYTES", "largest upload, in MiB", "1-4096", whole(1, 4096), _MEBIBYTE),
    Row(
        "MAX_PIXELS",
        "most pixels of an upload, frames counted, in millions",
        "1-10000",
        whole(1, 10_000),
        10**6,
    ),
    Row("MAX_FRAMES", "most frames of an upload", "1-100000", whole(1, 100_000)),
    Row("MAX_SCANS", "most scans of a progressive JPEG", "1-10000", whole(1, 10_000)),
    Row("MAX_OUTPUT_PIXELS", "most pixels of one rendition, in millions", "1-1000", whole(1, 1000), 10**6),
    Row("CPU_SECONDS", "CPU time one upload may take", "1-3600", whole(1, 3600)),
    Row("SVG", "whether SVG is drawn", "0 or 1", flag),
    Row(
        "TRUNCATED",
        "what becomes of a file that ends early",
        " | ".join(TruncatedPolicy),
        TruncatedPolicy,
    ),
)
