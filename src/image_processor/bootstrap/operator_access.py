"""Gives an operator's credentials to the S3 and DynamoDB adapters: whatever botocore finds for the session
(profiles, SSO, roles, processes), refreshed when it expires."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from obstore.auth.boto3 import Boto3CredentialProvider

from image_processor.aws.credentials import Credentials

from .aws import AwsAccess

_TTL = timedelta(minutes=10)
"""botocore refreshes credentials at least this long before they expire."""


def access_from(session: Any) -> AwsAccess:
    """Access with the region and the credentials of a boto3 session, which must have both."""
    provider = Boto3CredentialProvider(session, ttl=_TTL)
    return AwsAccess(session.region_name, lambda: Credentials(**provider()))
