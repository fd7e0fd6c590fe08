"""Deployment: writes the CloudFront function. The words of our URLs come from the Python package into
viewer_request.js, and that file, made small, goes into template.yaml.

`make edge` runs it; tests fail when either file is not what it would write.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from small import small

from image_processor.delivery.url import parameter_names as names
from image_processor.domain import errors
from image_processor.domain.formats import FORMATS

HERE = Path(__file__).parent
SOURCE = HERE / "viewer_request.js"
TEMPLATE = HERE.parent / "template.yaml"

MOST = 10_240
"""Bytes of a CloudFront function ("Quotas on CloudFront Functions")."""

KEPT = ("handler", "cf", "crypto", "read", "outcome")
"""Names that CloudFront or the tests call."""

# Query parameters that mean something to S3 ("Amazon S3 API Reference": the operations on objects and
# buckets, and "Authenticating requests: using query parameters").
OF_S3 = (
    *("accelerate", "acl", "analytics", "attributes", "cors", "delete", "encryption", "inventory"),
    *(
        "legal-hold",
        "lifecycle",
        "list-type",
        "location",
        "logging",
        "metrics",
        "notification",
        "object-lock",
    ),
    *("ownershipControls", "partNumber", "policy", "policyStatus", "publicAccessBlock", "replication"),
    *("requestPayment", "restore", "retention", "select", "session", "tagging", "torrent", "uploadId"),
    *("uploads", "versionId", "versioning", "versions", "website", "AWSAccessKeyId", "Signature", "Expires"),
)

_TABLES = re.compile(r"(?<=// <tables>\n).*?(?=// </tables>\n)", re.DOTALL)
_BEFORE = "      FunctionCode: |\n"
_IN_TEMPLATE = re.compile(rf"(?<={re.escape(_BEFORE)})(?:        .*\n|\n)*", re.MULTILINE)


def tables() -> str:
    """The words as JavaScript, a table a line."""
    refusals = {
        kind.code.removeprefix("signature-"): [detail, kind.fix]
        for kind, detail in (
            (errors.SignatureMissing, "expected a signature, got none"),
            (errors.SignatureKeyUnknown, "expected the id of a key in use for kid, got another"),
            (errors.SignatureMismatch, "expected a signature of this URL, got another one"),
            (errors.SignatureExpired, "expected a URL that has not ended, got one that has"),
        )
    }
    lines = [
        f"const ORDER = {_text(' '.join(names.PARAMETER_ORDER))}.split(' ');",
        f"const MANY = {_literal(sorted(names.REPEATABLE))};",
        f"const CASED = {_literal(sorted(names.CASE_SENSITIVE))};",
        f"const POINT = {_literal(names.FOCAL_POINT)};",
        f"const ALIASES = {_literal(names.ALIASES)};",
        f"const AUTO_WORDS = {_literal(names.AUTO_WORDS)};",
        f"const VALUE_ALIASES = {_literal(names.VALUE_ALIASES)};",
        f"const EXTENSIONS = {_literal({one.name: one.extension for one in FORMATS.values()})};",
        f"const REFUSALS = {_literal(refusals)};",
        f"const OF_S3 = /^([xX]-|response-|({'|'.join(OF_S3)})(?![\\s\\S]))/;",
    ]
    return "".join(f"{line}\n" for line in lines)


def _literal(value: object) -> str:
    """``value`` as JavaScript writes it, with the names of fields bare where they may be."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_field(name)}: {_literal(row)}' for name, row in value.items())}}}"
    assert isinstance(value, Sequence)
    return f"[{', '.join(map(_literal, value))}]"


def _field(name: str) -> str:
    return name if re.fullmatch("[a-z]+", name) else _text(name)


def _text(value: str) -> str:
    assert re.fullmatch(r"[^'\\\n]*", value), value
    return f"'{value}'"


def with_tables(source: str) -> str:
    return _TABLES.sub(lambda _: tables(), source)


def with_function(template: str, code: str) -> str:
    block = "".join(f"        {line}\n" for line in code.splitlines())
    return _IN_TEMPLATE.sub(lambda _: f"{block}\n", template)


def main() -> int:
    source = with_tables(SOURCE.read_text(encoding="utf-8"))
    code = small(source, KEPT)
    if len(code.encode()) > MOST:
        print(f"expected at most {MOST} bytes of function, got {len(code.encode())}", file=sys.stderr)
        return 1
    SOURCE.write_text(source, encoding="utf-8")
    TEMPLATE.write_text(with_function(TEMPLATE.read_text(encoding="utf-8"), code), encoding="utf-8")
    print(f"{len(code.encode())} bytes of {MOST}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
