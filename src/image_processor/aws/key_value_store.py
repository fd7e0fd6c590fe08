"""CloudFront's KeyValueStore: reads and changes the entries of one store (REST and JSON).

Our own because boto3 and its data would make most of the package of a function that makes three calls.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from image_processor.domain.errors import ImageProcessorError, Invalid, PreconditionFailed, Unavailable

from .client import Body, Client, HttpResponse, Request
from .credentials import GetCredentials, credentials_from
from .endpoints import Endpoint, endpoint_override, parse_endpoint
from .signature import Scope
from .signature_v4a import signed_headers_v4a

_PAGE = 50
"""The most entries that ListKeys returns at a time."""
_ALL_REGIONS = "*"


class _Client(Client):
    _sign = staticmethod(signed_headers_v4a)


class KeyValueStore:
    """The store with the ARN ``arn``. ``endpoint`` replaces AWS's own, by default
    AWS_ENDPOINT_URL_CLOUDFRONT_KEYVALUESTORE does. Raises Invalid, InvalidSettings."""

    def __init__(
        self, arn: str, *, endpoint: str | None = None, credentials: GetCredentials | None = None
    ) -> None:
        override = endpoint or endpoint_override("cloudfront_keyvaluestore")
        address = parse_endpoint(override) if override else _endpoint(arn)
        self._path = f"/key-value-stores/{quote(arn, safe='')}"
        self._client = _Client(
            address,
            Scope(_ALL_REGIONS, "cloudfront-keyvaluestore"),
            credentials or credentials_from(os.environ),
        )

    def version(self) -> str:
        """The version of the whole store, which `update` expects. Raises Unavailable."""
        return self._etag(self._call("DescribeKeyValueStore", Request("GET", self._path, escaped=True)))

    def read(self) -> dict[str, str]:
        """Every entry. Raises Unavailable."""
        entries: dict[str, str] = {}
        query = {"MaxResults": str(_PAGE)}
        while True:
            request = Request("GET", f"{self._path}/keys", query, escaped=True)
            page: dict[str, Any] = json.loads(self._call("ListKeys", request).body)
            entries |= {item["Key"]: item["Value"] for item in page.get("Items", ())}
            if not page.get("NextToken"):
                return entries
            query["NextToken"] = page["NextToken"]

    def update(self, version: str, puts: Mapping[str, str], deletes: Sequence[str]) -> str:
        """Put and delete entries, all of them or none; returns the new version.

        Raises PreconditionFailed if the store has another version, Unavailable.
        """
        changes = {
            "Puts": [{"Key": key, "Value": value} for key, value in puts.items()],
            "Deletes": [{"Key": key} for key in deletes],
        }
        request = Request(
            "POST",
            f"{self._path}/keys",
            headers={"content-type": "application/json", "if-match": version},
            body=Body.from_bytes(json.dumps(changes).encode()),
            escaped=True,
        )
        return self._etag(self._call("UpdateKeys", request))

    def _call(self, operation: str, request: Request) -> HttpResponse:
        response = self._client.send(request)
        if response.status == 200:
            return response
        # The body of an error could repeat the entries, which are secret: only its type is shown.
        kind = response.headers.get("x-amzn-errortype", "").partition(":")[0] or str(response.status)
        error: type[ImageProcessorError] = PreconditionFailed if response.status == 409 else Unavailable
        raise error(f"expected {operation} of CloudFront's KeyValueStore to succeed, got {kind}")

    def _etag(self, response: HttpResponse) -> str:
        etag = response.headers.get("etag")
        if not etag:
            raise Unavailable("expected the version of CloudFront's KeyValueStore, got none")
        return etag


def _endpoint(arn: str) -> Endpoint:
    """The endpoint of the store's account ("Amazon CloudFront endpoints and quotas")."""
    fields = arn.split(":")
    if len(fields) != 6 or fields[2] != "cloudfront":
        raise Invalid.one("the key value store", "its ARN", arn)
    return Endpoint("https", f"{fields[4]}.cloudfront-kvs.global.api.aws")
