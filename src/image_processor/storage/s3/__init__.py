"""Object store adapter: objects in an S3 bucket, on AWS or on an S3-compatible service."""

from typing import Any

from .store import S3Store

__all__ = ["S3Store", "open_store"]


def open_store(location: str, **options: Any) -> S3Store:
    """The store in the bucket named ``location``. ``options`` are those of S3Store."""
    return S3Store(location, **options)
