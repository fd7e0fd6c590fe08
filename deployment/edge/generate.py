"""Generates the CloudFront function: writes the parameter tables of the Python package into
viewer_request.js, minifies that file with terser, and writes the result into template.yaml.

`make edge` runs it; a test fails if either file is not what it would write.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from image_processor.delivery.url import parameter_names as names
from image_processor.domain import errors
from image_processor.domain.formats import FORMATS

HERE = Path(__file__).parent
SOURCE = HERE / "viewer_request.js"
TEMPLATE = HERE.parent / "template.yaml"

TERSER = HERE / "node_modules" / ".bin" / "terser"
"""Installed by `npm ci` in this directory. terser.json reserves the names that CloudFront or tests call."""

MAX_BYTES = 10_240
"""The size limit of a CloudFront function ("Quotas on CloudFront Functions")."""

# Query parameters with a meaning for S3 ("Amazon S3 API Reference": the operations on objects and
# buckets, and "Authenticating requests: using query parameters").
S3_PARAMETERS = (
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
    """The parameter tables as JavaScript, one on each line."""
    refusals = {
        error.code.removeprefix("signature-"): [detail, error.fix]
        for error, detail in (
            (errors.SignatureMissing, "expected a signature, got none"),
            (errors.SignatureKeyUnknown, "expected the id of a key in use for kid, got another"),
            (errors.SignatureMismatch, "expected a signature of this URL, got another one"),
            (errors.SignatureExpired, "expected a URL that has not expired, got one that has"),
        )
    }
    lines = [
        f"const PARAMETER_ORDER = {_text(' '.join(names.PARAMETER_ORDER))}.split(' ');",
        f"const REPEATABLE = {_literal(sorted(names.REPEATABLE))};",
        f"const CASE_SENSITIVE = {_literal(sorted(names.CASE_SENSITIVE))};",
        f"const FOCAL_POINT = {_literal(names.FOCAL_POINT)};",
        f"const ALIASES = {_literal(names.ALIASES)};",
        f"const AUTO_WORDS = {_literal(names.AUTO_WORDS)};",
        f"const VALUE_ALIASES = {_literal(names.VALUE_ALIASES)};",
        f"const EXTENSIONS = {_literal({format_.name: format_.extension for format_ in FORMATS.values()})};",
        f"const REFUSALS = {_literal(refusals)};",
        f"const S3_PARAMETERS = /^([xX]-|response-|({'|'.join(S3_PARAMETERS)})(?![\\s\\S]))/;",
    ]
    return "".join(f"{line}\n" for line in lines)


def _literal(value: object) -> str:
    """``value`` as a JavaScript literal. Field names are quoted only if they must be."""
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
    """``source`` with the current tables."""
    return _TABLES.sub(lambda _: tables(), source)


def minify(source: str) -> str:
    """``source`` minified by terser. Raises FileNotFoundError if terser is not installed, and
    CalledProcessError if it cannot parse the source."""
    command = [str(TERSER), "--config-file", str(HERE / "terser.json")]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout


def with_function(template: str, code: str) -> str:
    """``template`` with ``code`` as the code of the CloudFront function."""
    block = "".join(f"        {line}\n" for line in code.splitlines())
    return _IN_TEMPLATE.sub(lambda _: f"{block}\n", template)


def main() -> int:
    source = with_tables(SOURCE.read_text(encoding="utf-8"))
    code = minify(source)
    size = len(code.encode())
    if size > MAX_BYTES:
        print(f"expected at most {MAX_BYTES} bytes of function, got {size}", file=sys.stderr)
        return 1
    SOURCE.write_text(source, encoding="utf-8")
    TEMPLATE.write_text(with_function(TEMPLATE.read_text(encoding="utf-8"), code), encoding="utf-8")
    print(f"{size} of at most {MAX_BYTES} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
