"""The two origins behind the distribution: the processed bucket behind its policy, and the deliver
function behind its URL. Each notes the requests that it gets in ``asked``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus

from edge_messages import Answer, NotSimulated, Request
from msgspec.structs import replace
from policies import of_type
from resolve import references

from image_processor.delivery.http.response import build_response as answer_for
from image_processor.domain.errors import InvalidKey, NotFound
from image_processor.domain.ports import Attributes, ObjectStore, StoredObject
from support.aws_emulation.policies import Call, allows_service

Json = Mapping[str, Any]
CLOUDFRONT = "cloudfront.amazonaws.com"
MAX_REPLY = 6 * 1024 * 1024
""""Lambda quotas": bytes of a buffered function's reply."""

# The headers of S3 for an object; the API sends more.
_S3_HEADERS = (
    "accept-ranges",
    "cache-control",
    "content-length",
    "content-range",
    "content-type",
    "etag",
    "last-modified",
)


class Bucket:
    """The S3 origin. With a ``fault`` it always returns that status, like a throttled bucket."""

    def __init__(self, name: str, store: ObjectStore, policies: Sequence[Json], signed_for: str) -> None:
        self._arn = f"<{name}.Arn>"
        self._store = store
        self._policies = policies
        self._signed_for = signed_for
        self.asked: list[Request] = []
        self.fault: int | None = None

    def fetch(self, request: Request) -> Answer:
        self.asked.append(request)
        if self.fault:
            return Answer(self.fault)
        # S3 decodes a plus in a path as a space.
        key = unquote_plus(request.uri[1:])
        # Without CORS rules S3 rejects OPTIONS too ("Using CORS"); a request without a key is a listing.
        asks_for_object = key and request.method in {"GET", "HEAD"}
        if not asks_for_object or not self._allows("s3:GetObject", f"{self._arn}/{key}"):
            return Answer(403)
        try:
            stored = self._store.get(key)
        except InvalidKey:
            return Answer(400)  # also KeyTooLongError ("Error responses" of the S3 API reference)
        except NotFound:
            # "GetObject": 404 is returned only to those who may list the bucket.
            return Answer(404 if self._allows("s3:ListBucket", self._arn) else 403)
        return self._answer(request, stored)

    def _allows(self, action: str, resource: str) -> bool:
        # "Using HTTPS with CloudFront": it always uses TLS 1.2 to S3 if the viewer's request was secure.
        keys = {
            "aws:securetransport": "true",
            "s3:tlsversion": "1.2",
            "aws:sourcearn": self._signed_for,
        }
        return allows_service(self._policies, CLOUDFRONT, Call(action, resource, keys))

    @staticmethod
    def _answer(request: Request, stored: StoredObject) -> Answer:
        # Without metadata, so that the entity tag is the store's own, as in S3.
        plain = Attributes(stored.attributes.media_type, stored.attributes.cache_control)
        decided = answer_for(
            request.method, request.headers, replace(stored, attributes=plain), cache_control=""
        )
        headers = {name: text for name, text in decided.headers.items() if name in _S3_HEADERS and text}
        headers |= {f"x-amz-meta-{name}": text for name, text in stored.attributes.metadata.items()}
        part = decided.byte_range
        return Answer(decided.status, headers, stored.body[part.start : part.stop] if part else b"")


Invoke = Callable[[dict[str, Any], Any], dict[str, Any]]


class FunctionUrl:
    """A function URL with auth type AWS_IAM, and its function."""

    def __init__(self, resources: Json, url: Json, invoke: Invoke, signed_for: str) -> None:
        if url["AuthType"] != "AWS_IAM" or url.get("InvokeMode") != "BUFFERED":
            raise NotSimulated(f"a function URL with {url}")
        self._invoke = invoke
        self._may_call = _may_call(resources, url, signed_for)
        self.asked: list[Request] = []

    def fetch(self, request: Request) -> Answer:
        if not self._may_call:
            return Answer(403)
        self.asked.append(request)
        reply = self._invoke(_event(request), None)
        if len(json.dumps(reply)) > MAX_REPLY:
            return Answer(502)
        text = reply.get("body", "")
        body = base64.b64decode(text) if reply.get("isBase64Encoded") else text.encode()
        return Answer(reply["statusCode"], reply["headers"], b"" if request.method == "HEAD" else body)


def _may_call(resources: Json, url: Json, caller: str) -> bool:
    """ "Control access to Lambda function URLs": a signed caller needs permission for both actions, on the
    function or alias that the URL points to."""
    (target,) = references(url.get("Qualifier") or url["TargetFunctionArn"])
    granted = {
        permission["Action"]
        for permission in of_type(dict(resources), "AWS::Lambda::Permission").values()
        if permission["Principal"] == CLOUDFRONT
        and permission.get("SourceArn") == caller
        and permission.get("FunctionUrlAuthType", url["AuthType"]) == url["AuthType"]
        and list(references(permission["FunctionName"])) == [target]
    }
    return {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"} <= granted


def _event(request: Request) -> dict[str, Any]:
    """ "Lambda function URLs", payload format 2.0. A function URL leaves the path percent-encoded;
    seen in https://github.com/middleapi/standard-server/pull/93, as the guide is silent."""
    return {
        "version": "2.0",
        "rawPath": request.uri,
        "rawQueryString": request.query,
        "headers": dict(request.headers),
        "requestContext": {"http": {"method": request.method, "path": request.uri}},
        "isBase64Encoded": False,
    }
