"""Conditional deletes in general purpose buckets, which S3 has had since 2025 and LocalStack 4.14 refuses."""

from __future__ import annotations

from functools import wraps
from typing import Any

from localstack.services.s3 import provider


def install() -> None:
    """Check the condition of DeleteObject as LocalStack does that of PutObject."""
    delete = provider.S3Provider.delete_object

    @wraps(delete)
    def delete_object(
        self: Any, context: Any, bucket: str, key: str, *rest: Any, if_match: str | None = None, **more: Any
    ) -> Any:
        if if_match:
            _, found = self._get_cross_account_bucket(context, bucket)
            provider.verify_object_equality_precondition_write(found, key, if_match)
        return delete(self, context, bucket, key, *rest, **more)

    provider.S3Provider.delete_object = delete_object
