"""AWS Signature Version 4A of an HTTP request, which CloudFront's KeyValueStore asks for.

Made by AWS's own library: the key is one of an elliptic curve ("How SigV4a works", IAM User Guide). Only the
function `publish` calls it, at a deployment, and only its package holds the library.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from .credentials import Credentials
from .signature import Scope

_TIMEOUT_SECONDS = 10


def signed_headers_v4a(
    method: str,
    target: str,
    headers: Mapping[str, str],
    body_sha256: str,
    scope: Scope,
    credentials: Credentials,
    now: datetime,
) -> dict[str, str]:
    """As `signature.signed_headers`, but valid in every region that ``scope`` names, such as `*`."""
    from awscrt.auth import (  # noqa: PLC0415 - in the package of one function only
        AwsCredentialsProvider,
        AwsSigningAlgorithm,
        AwsSigningConfig,
        aws_sign_request,
    )
    from awscrt.http import HttpHeaders, HttpRequest  # noqa: PLC0415 - as above

    provider = AwsCredentialsProvider.new_static(
        credentials.access_key_id, credentials.secret_access_key, credentials.token
    )
    signing = AwsSigningConfig(
        algorithm=AwsSigningAlgorithm.V4_ASYMMETRIC,
        credentials_provider=provider,
        region=scope.region,
        service=scope.api,
        date=now,
        signed_body_value=body_sha256,
    )
    request = HttpRequest(method, target, HttpHeaders(list(headers.items())))
    signed = aws_sign_request(request, signing).result(_TIMEOUT_SECONDS)
    return {name.lower(): value for name, value in signed.headers}
