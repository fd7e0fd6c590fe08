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

from image_processor.delivery.dialects.dit import version8
from image_processor.delivery.dialects.dit.path import QUERY_PARAMETERS
from image_processor.delivery.url import parameter_names as names
from image_processor.domain import errors
from image_processor.domain.formats import FORMATS

HERE = Path(__file__).parent
SOURCE = HERE / "viewer_request.js"
TEMPLATE = HERE.parent / "template.yaml"

TERSER = HERE / "node_modules" / ".bin" / "terser"
"""Installed by `npm ci` in this directory. terser.json reserves the names that CloudFront or tests call."""

MAX_BYTES = 10_240 - 300
"""The size limit of a CloudFront function ("Quotas on CloudFront Functions"), less what the template adds: a
line with the value of a parameter."""

# Query parameters of dialects: DIT's, and those of Next.js, Vercel and Netlify. The others ignore a query.
# Those of DIT's version 8 also stand for their options, such as `resize.width` or `resize[width]`.
DIT_PARAMETERS = ("signature", "expires", *sorted(QUERY_PARAMETERS | version8.SCHEMAS.keys()))
PLATFORM_PARAMETERS = ("url", "w", "h", "q", "fm", "position")
DIALECT_PARAMETERS = (*DIT_PARAMETERS, *PLATFORM_PARAMETERS, names.CACHE_BUSTER)

# fmt: off
S3_PARAMETERS = (
    "accelerate", "acl", "analytics", "attributes", "awsaccesskeyid", "continuation-token", "cors",
    "delete", "delimiter", "encoding-type", "encryption", "expires", "fetch-owner", "inventory",
    "key-marker", "legal-hold", "lifecycle", "list-type", "location", "logging", "marker", "max-keys",
    "max-parts", "metrics", "notification", "object-lock", "ownershipcontrols", "part-number-marker",
    "partnumber", "policy", "policystatus", "prefix", "publicaccessblock", "replication",
    "requestpayment", "restore", "retention", "select", "session", "signature", "start-after",
    "tagging", "torrent", "upload-id-marker", "uploadid", "uploads", "version-id-marker", "versionid",
    "versioning", "versions", "website",
)
# fmt: on
"""Query parameters that S3 obeys, in lower case, beside those that begin with `x-` or `response-`: the
operations on objects and buckets, and "Authenticating requests: using query parameters" (Amazon S3 API
Reference). S3's `Signature` and `Expires` differ from DIT's in case alone."""

_TABLES = re.compile(r"(?<=// <tables>\n).*?(?=// </tables>\n)", re.DOTALL)
_BEFORE = "      FunctionCode: !Join\n        - ''\n        - - |\n"
_IN_TEMPLATE = re.compile(rf"(?<={re.escape(_BEFORE)})(?: {{12}}.*\n)*", re.MULTILINE)


def tables() -> str:
    """The parameter tables as JavaScript, one on each line."""
    refusals = (
        errors.SignatureMissing,
        errors.SignatureKeyUnknown,
        errors.SignatureMismatch,
        errors.SignatureExpired,
    )
    fixes = {error.code.removeprefix("signature-"): error.fix for error in refusals}
    lines = [
        f"const PARAMETER_ORDER = {_text(' '.join(names.PARAMETER_ORDER))}.split(' ');",
        f"const IGNORED = {_text(' '.join(names.IGNORED))}.split(' ');",
        f"const IGNORED_PREFIX = {_text(names.TRACKING_PREFIX)};",
        f"const REPEATABLE = {_literal(sorted(names.REPEATABLE))};",
        f"const CASE_SENSITIVE = {_literal(sorted(names.CASE_SENSITIVE))};",
        f"const FOCAL_POINT = {_literal(names.FOCAL_POINT)};",
        f"const ALIASES = {_literal(names.ALIASES)};",
        f"const AUTO_WORDS = {_literal(names.AUTO_WORDS)};",
        f"const VALUE_ALIASES = {_literal(_without_corners(names.VALUE_ALIASES))};",
        *_extensions(),
        f"const FIXES = {_literal(fixes)};",
        f"const DIALECT_PARAMETERS = {_text(' '.join(DIALECT_PARAMETERS))}.split(' ');",
        f"const S3_PARAMETERS = {_text(' '.join(S3_PARAMETERS))}.split(' ');",
    ]
    return "".join(f"{line}\n" for line in lines)


def _extensions() -> list[str]:
    """By format. Most names are their own extensions, and the table has no room to say that twice."""
    others = {one.name: one.extension for one in FORMATS.values() if one.extension != one.name}
    same = " ".join(name for name in FORMATS if name not in others)
    return [
        f"const EXTENSIONS = {_literal(others)};",
        f"{_text(same)}.split(' ').forEach(name => EXTENSIONS[name] = name);",
    ]


def _without_corners(aliases: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """The table without gravities of two words, such as `top:left`, which viewer_request.js derives."""
    return {
        name: {word: value for word, value in row.items() if ":" not in word} for name, row in aliases.items()
    }


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
    block = "".join(f"{'':12}{line}\n" for line in code.splitlines())
    return _IN_TEMPLATE.sub(lambda _: block, template)


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
