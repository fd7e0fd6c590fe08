"""Presigned GET: a URL that downloads one object from S3 directly, as a pure function.

AWS describes the signature in "Authenticating Requests: Using Query Parameters (AWS Signature Version
4)". The counterpart of `post_policy`, and not boto3's for the same reason.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from image_processor.domain.hashing import sha256_hex

from .credentials import Credentials
from .endpoints import Endpoint
from .signature import ALGORITHM, Scope, credential_scope, escape_path, escape_query, sign

VALIDITY = timedelta(minutes=15)


class PresignedUrl(Struct, frozen=True):
    """A URL that anybody may GET until ``expires_at``."""

    url: str
    expires_at: datetime


def presigned_get(
    key: str, disposition: str, endpoint: Endpoint, region: str, credentials: Credentials, now: datetime
) -> PresignedUrl:
    """The URL of the object ``key``, valid for 15 minutes, or until the credentials expire if that is sooner.

    S3 answers it with ``disposition`` as Content-Disposition. ``endpoint`` is the bucket's; ``now`` is UTC.
    """
    time = now.strftime("%Y%m%dT%H%M%SZ")
    terms = credential_scope(Scope(region, "s3"), time)
    expires_at = min(now + VALIDITY, credentials.expires_at or now + VALIDITY).replace(microsecond=0)
    query = {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": "/".join((credentials.access_key_id, *terms)),
        "X-Amz-Date": time,
        "X-Amz-Expires": str(max(1, int((expires_at - now).total_seconds()))),
        "X-Amz-SignedHeaders": "host",
        "response-content-disposition": disposition,
    }
    if credentials.token is not None:
        query["X-Amz-Security-Token"] = credentials.token
    path, escaped = escape_path(f"{endpoint.path}/{key}"), escape_query(query.items())
    request = "\n".join(["GET", path, escaped, f"host:{endpoint.host}", "", "host", "UNSIGNED-PAYLOAD"])
    text = "\n".join([ALGORITHM, time, "/".join(terms), sha256_hex(request.encode())])
    signature = sign(text, terms, credentials)
    url = f"{endpoint.scheme}://{endpoint.host}{path}?{escaped}&X-Amz-Signature={signature}"
    return PresignedUrl(url, expires_at)
