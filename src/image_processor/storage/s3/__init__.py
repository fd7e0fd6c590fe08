"""Object store adapter: objects in an S3 bucket, on AWS or on an S3-compatible service."""

from .store import S3Store

__all__ = ["S3Store", "open_store"]


def open_store(location: str) -> S3Store:
    """The store in the bucket named ``location``; region, endpoint and credentials from the environment."""
    return S3Store(location)
