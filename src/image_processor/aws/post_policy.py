"""AWS room: a form that lets whoever has it post one object to S3, as a pure function.

Amazon's steps are in "Authenticating Requests: Browser-Based Uploads Using POST (AWS Signature
Version 4)". What the policy does not name, S3 refuses in the form.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from .credentials import Credentials
from .endpoints import Endpoint
from .signature import ALGORITHM, Scope, sign, terms_of

LIFE = timedelta(minutes=15)


class PostForm(Struct, frozen=True):
    """``fields`` go into a multipart/form-data body before the file, which is sent to ``url``."""

    url: str
    fields: Mapping[str, str]
    expires_at: datetime


class Target(Struct, frozen=True):
    """What may be posted: an object of 1 to ``max_bytes`` bytes under exactly this key."""

    bucket: str
    key: str
    media_type: str
    max_bytes: int


def post_form(
    target: Target, endpoint: Endpoint, region: str, credentials: Credentials, now: datetime
) -> PostForm:
    """The form for one upload, good for 15 minutes, or as long as the credentials if that is less.

    ``endpoint`` is the bucket's; ``now`` is UTC.
    """
    time = now.strftime("%Y%m%dT%H%M%SZ")
    terms = terms_of(Scope(region, "s3"), time)
    fields = {
        "key": target.key,
        "Content-Type": target.media_type,
        "x-amz-algorithm": ALGORITHM,
        "x-amz-credential": "/".join((credentials.access_key_id, *terms)),
        "x-amz-date": time,
    }
    if credentials.token is not None:
        fields["x-amz-security-token"] = credentials.token
    expires_at = min(now + LIFE, credentials.expires_at or now + LIFE).replace(microsecond=0)
    policy = {
        "expiration": expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "conditions": [
            {"bucket": target.bucket},
            ["content-length-range", 1, target.max_bytes],
            *({name: value} for name, value in fields.items()),
        ],
    }
    encoded = base64.b64encode(json.dumps(policy).encode()).decode()
    fields |= {"policy": encoded, "x-amz-signature": sign(encoded, terms, credentials)}
    return PostForm(endpoint.url, fields, expires_at)
