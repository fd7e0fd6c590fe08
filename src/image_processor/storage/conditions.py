"""Whether a store honours conditions: the server asks before it trusts an S3 service that is not AWS.

Amazon S3 and MinIO do. Some services answer 200 to a conditional write and overwrite the object, which would
lose an upload without any error.
"""

from __future__ import annotations

from uuid import uuid4

from image_processor.domain.errors import PreconditionFailed
from image_processor.domain.ports import ABSENT, Absent, Attributes, ObjectStore

_ATTRIBUTES = Attributes("text/plain")
_TRIES = 3


def honours_conditions(store: ObjectStore) -> bool:
    """Whether ``store`` refuses writes whose condition is not met. Writes an object, and deletes it.

    Raises Unavailable, AccessDenied.
    """
    # Whatever removes unknown objects meanwhile makes a condition true. Not three times in a row.
    return any(_refuses_both(store, f"image-processor-check-{uuid4().hex}") for _ in range(_TRIES))


def _refuses_both(store: ObjectStore, key: str) -> bool:
    try:
        store.put(key, b"1", _ATTRIBUTES)
        return all(_refuses(store, key, condition) for condition in (ABSENT, "0" * 32))
    finally:
        store.delete(key)


def _refuses(store: ObjectStore, key: str, condition: str | Absent) -> bool:
    try:
        store.put(key, b"2", _ATTRIBUTES, condition=condition)
    except PreconditionFailed:
        return True
    return False
