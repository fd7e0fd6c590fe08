"""The cost of a million uploads on Lambda, beside a handler in Node with sharp that makes the same sizes.

Dollars are the milliseconds that `engine` has measured, at the prices of image_processor/cli/prices.toml,
which are dated. Requests to S3 and SQS cost both sides the same and are left out, and so is the time that a
function waits for S3, which Lambda bills too.
"""

from __future__ import annotations

from image_processor.cli.cost_model import price_file

from .table import Row

_REGION = "us-east-1"
_MEMORY_GB = 1769 / 1024
"""The memory with which a function has one core."""

_UPLOADS = 1_000_000


def lambda_row(name: str, ours: float, theirs: float, bar: float | None = None) -> Row:
    """The row for CPU seconds of an upload on both sides."""
    mine, peer = _dollars(ours), _dollars(theirs)
    title = f"a million uploads on Lambda, {name}"
    return Row(title, f"${mine:.2f}", f"${peer:.2f}", mine / peer, bar)


def _dollars(seconds: float) -> float:
    prices = price_file()["regions"][_REGION]
    upload: float = seconds * _MEMORY_GB * prices["lambda_gb_second_x86_64"] + prices["lambda_request"]
    return _UPLOADS * upload
