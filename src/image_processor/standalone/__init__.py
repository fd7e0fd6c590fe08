"""What one machine has in place of AWS services: a watched directory (S3 events), worker threads and
their queue (SQS, Lambda), a render pool, a bounded cache of renditions, and live progress.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from image_processor.config.settings import Settings

BUCKET = "uploads"
"""The name of a machine's one upload side, where AWS has the name of a bucket."""

RENDITIONS_PATH = "/renditions"
"""The URL path under which the server serves renditions."""


def bucket_name(settings: Settings) -> str:
    """The name under which records know the upload side: the upload bucket's, or BUCKET for a directory."""
    if settings.upload_bucket is None:
        return BUCKET
    return settings.upload_bucket.rpartition("://")[2]
