"""Rules of the template about what stands at the edge: the CDN and the API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from policies import of_type
from resolve import Json, references

from image_processor.api.error_status import MEDIA_TYPE, code_of, title_of

SEAL_PARAMETERS = ("s", "kid", "expires")
SECRET = re.compile(r"\{\{resolve:secretsmanager:[\w/+=.@:-]+\}\}")
STUDIO = "StudioDistribution"
# AWS, "Use managed cache policies" and "Use managed origin request policies".
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_VIEWER_EXCEPT_HOST = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
FAILOVER = [400, 403, 404, 500, 503, 504]
GATEWAY_STATUSES = {
    **dict.fromkeys(("BAD_REQUEST_BODY", "BAD_REQUEST_PARAMETERS", "DEFAULT_4XX"), 400),
    "UNAUTHORIZED": 401,
    **dict.fromkeys(("ACCESS_DENIED", "EXPIRED_TOKEN", "INVALID_API_KEY", "INVALID_SIGNATURE"), 403),
    **dict.fromkeys(("MISSING_AUTHENTICATION_TOKEN", "WAF_FILTERED"), 403),
    "RESOURCE_NOT_FOUND": 404,
    "REQUEST_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    **dict.fromkeys(("QUOTA_EXCEEDED", "THROTTLED"), 429),
    **dict.fromkeys(("API_CONFIGURATION_ERROR", "DEFAULT_5XX"), 500),
    **dict.fromkeys(("INTEGRATION_FAILURE", "INTEGRATION_TIMEOUT"), 504),
}
"""What API Gateway answers itself, without the function ("Gateway response types for API Gateway")."""
DRAFT_4 = frozenset(
    {
        "$ref",
        "type",
        "required",
        "properties",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "pattern",
        "enum",
    }
)
"""The keywords of JSON Schema draft 4 that are used here."""


def the_cdn_may_call_the_function_url(resources: Json) -> Iterator[str]:
    urls = of_type(resources, "AWS::Lambda::Url")
    granted = {
        permission["Action"]: permission
        for permission in of_type(resources, "AWS::Lambda::Permission").values()
        if permission["Principal"] == "cloudfront.amazonaws.com"
    }
    if urls and granted.keys() != {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}:
        yield f"granted: {sorted(granted)}"
    if urls and not granted.get("lambda:InvokeFunction", {}).get("InvokedViaFunctionUrl"):
        yield "the function can be called beside its URL"
    yield from (f"{name}: {url['AuthType']}" for name, url in urls.items() if url["AuthType"] != "AWS_IAM")


def lists_declare_their_quantity(resources: Json) -> Iterator[str]:
    def wrong(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if "Quantity" in node and node["Quantity"] != len(node.get("Items", [])):
                yield str(node)
            for item in node.values():
                yield from wrong(item)
        elif isinstance(node, list):
            for item in node:
                yield from wrong(item)

    yield from wrong(resources)


def _renditions(resources: Json) -> list[Json]:
    """The distribution of renditions, if the stack has one of its own."""
    return [
        row for name, row in of_type(resources, "AWS::CloudFront::Distribution").items() if name != STUDIO
    ]


def the_studio_passes_the_api_on_uncached(resources: Json) -> Iterator[str]:
    """Responses depend on who asks, and only API Gateway decides who may."""
    if STUDIO not in resources:
        return
    config = resources[STUDIO]["Properties"]["DistributionConfig"]
    for row in config["CacheBehaviors"]:
        found = (row["TargetOriginId"], row["CachePolicyId"], row["OriginRequestPolicyId"])
        if found != ("api", CACHING_DISABLED, ALL_VIEWER_EXCEPT_HOST):
            yield f"{row['PathPattern']}: {found}"
        if row["ViewerProtocolPolicy"] != "https-only":  # a redirect would come after the key was sent
            yield f"{row['PathPattern']}: plain HTTP"
    default = config["DefaultCacheBehavior"]
    if default["TargetOriginId"] != "page" or "AllowedMethods" in default:
        yield "the page's origin may be written to"
    page = next(origin for origin in config["Origins"] if origin["Id"] == "page")
    if page.get("OriginAccessControlId") != "<StudioAccess.Id>":
        yield "the page's bucket is not read with access control"
    (bucket,) = [
        row
        for row in resources["StudioBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
        if row["Effect"] == "Allow"
    ]
    if (bucket["Action"], set(references(bucket["Condition"]))) != ("s3:GetObject", {STUDIO}):
        yield f"the page's bucket: {bucket}"
    policy = resources["StudioHeadersPolicy"]["Properties"]["ResponseHeadersPolicyConfig"]
    text = policy["SecurityHeadersConfig"]["ContentSecurityPolicy"]["ContentSecurityPolicy"]
    if "default-src 'self'" not in text or "unsafe" in text or "*" in text:
        yield f"content security policy: {text}"


def the_cdn_fails_over_to_the_function(resources: Json) -> Iterator[str]:
    for row in _renditions(resources):
        config = row["DistributionConfig"]
        origins = {origin["Id"]: origin for origin in config["Origins"]}
        (group,) = config["OriginGroups"]["Items"]
        members = [origins[member["OriginId"]] for member in group["Members"]["Items"]]
        if [set(references(origin["DomainName"])) for origin in members] != [
            {"ProcessedBucket"},
            {"DeliverUrl"},
        ]:
            yield f"order: {members}"
        if sorted(group["FailoverCriteria"]["StatusCodes"]["Items"]) != FAILOVER:
            yield f"status codes: {group['FailoverCriteria']}"
        if members[1].get("ConnectionAttempts") != 1:
            yield f"attempts: {members[1].get('ConnectionAttempts')}"
        if config["DefaultCacheBehavior"]["TargetOriginId"] != group["Id"]:
            yield "nothing uses the group"
        kinds = [
            resources[next(references(origin["OriginAccessControlId"]))]["Properties"]
            ["OriginAccessControlConfig"]["OriginAccessControlOriginType"]
            for origin in members
        ]  # fmt: skip
        if kinds != ["s3", "lambda"]:
            yield f"access: {kinds}"
        if config["DefaultCacheBehavior"]["ViewerProtocolPolicy"] == "allow-all":
            yield "plain HTTP"


def cache_times_are_in_order(resources: Json) -> Iterator[str]:
    for name, row in of_type(resources, "AWS::CloudFront::CachePolicy").items():
        policy = row["CachePolicyConfig"]
        if not policy["MinTTL"] <= policy["DefaultTTL"] <= policy["MaxTTL"]:
            yield name


def errors_are_cached_as_the_function_says(resources: Json) -> Iterator[str]:
    for row in _renditions(resources):
        config = row["DistributionConfig"]
        minimum = {row["ErrorCode"]: row["ErrorCachingMinTTL"] for row in config["CustomErrorResponses"]}
        # The default of the others is 10 s ("Control how long CloudFront caches errors").
        yield from (
            f"{status}: {minimum.get(status)}" for status in (400, 403, 404, 501) if minimum.get(status) != 0
        )
        yield from (
            f"{status}: {minimum.get(status)}" for status in (502, 503, 504) if minimum.get(status) != 1
        )


def one_object_serves_every_encoding(resources: Json) -> Iterator[str]:
    for name, row in of_type(resources, "AWS::CloudFront::CachePolicy").items():
        key = row["CachePolicyConfig"]["ParametersInCacheKeyAndForwardedToOrigin"]
        if key["EnableAcceptEncodingGzip"] or key["EnableAcceptEncodingBrotli"]:
            yield name


def a_rate_limit_is_the_web_acl(resources: Json) -> Iterator[str]:
    acls = of_type(resources, "AWS::WAFv2::WebACL")
    for name, acl in acls.items():
        limits = [rule["Statement"].get("RateBasedStatement", {}) for rule in acl["Rules"]]
        if acl["Scope"] != "CLOUDFRONT" or [limit.get("AggregateKeyType") for limit in limits] != ["IP"]:
            yield f"{name}: {limits}"
    for row in of_type(resources, "AWS::CloudFront::Distribution").values():
        if acls and set(references(row["DistributionConfig"].get("WebACLId", ""))) != set(acls):
            yield "the distribution has another web ACL"


def the_cloudfront_function_has_its_key_value_store(resources: Json) -> Iterator[str]:
    for name, function in of_type(resources, "AWS::CloudFront::Function").items():
        stores = function["FunctionConfig"].get("KeyValueStoreAssociations", [])
        if [set(references(store)) for store in stores] != [{"EdgeStore"}]:
            yield f"{name}: {stores}"


def signatures_reach_the_function_and_not_the_cache_key(resources: Json) -> Iterator[str]:
    for name, row in of_type(resources, "AWS::CloudFront::CachePolicy").items():
        key = row["CachePolicyConfig"]["ParametersInCacheKeyAndForwardedToOrigin"]["QueryStringsConfig"]
        if key != {"QueryStringBehavior": "allExcept", "QueryStrings": list(SEAL_PARAMETERS)}:
            yield f"{name}: {key}"
    for name, row in of_type(resources, "AWS::CloudFront::OriginRequestPolicy").items():
        sent = row["OriginRequestPolicyConfig"]["QueryStringsConfig"]
        if sent != {"QueryStringBehavior": "whitelist", "QueryStrings": list(SEAL_PARAMETERS)}:
            yield f"{name}: {sent}"


SIGN_NOTHING = frozenset({"ProcessFunction", "ReconcileFunction", "InvalidateFunction"})


def signing_keys_are_only_in_the_secret(resources: Json) -> Iterator[str]:
    given = {
        name: function["Environment"]["Variables"].get("IMAGE_PROCESSOR_SIGNING_KEYS")
        for name, function in of_type(resources, "AWS::Lambda::Function").items()
    }
    for name in SIGN_NOTHING & given.keys():
        if given.pop(name) is not None:
            yield f"{name} signs nothing"
    yield from (
        f"{name}: {text}" for name, text in given.items() if text is not None and not SECRET.fullmatch(text)
    )
    if len({*given.values()}) > 1:
        yield f"different keys: {given}"


def every_api_operation_is_authorised(resources: Json) -> Iterator[str]:
    for api in of_type(resources, "AWS::ApiGateway::RestApi").values():
        body = api["Body"]
        validator = body["x-amazon-apigateway-request-validators"][
            body["x-amazon-apigateway-request-validator"]
        ]
        if validator != {"validateRequestBody": True, "validateRequestParameters": True}:
            yield "bodies are not validated"
        schemes = body["components"]["securitySchemes"]
        for path, methods in body["paths"].items():
            for method, operation in methods.items():
                if method == "parameters":
                    continue
                # Any one of several ways opens a method.
                if len(ways := operation.get("security", [])) != 1 or not ways[0].keys() <= schemes.keys():
                    yield f"{method} {path} is open"
        pool = schemes.get("pool")
        if pool and not pool["x-amazon-apigateway-authorizer"]["providerARNs"][0].startswith("arn:"):
            yield "users of no pool are authorised"
    for name, stage in of_type(resources, "AWS::ApiGateway::Stage").items():
        if not all("ThrottlingRateLimit" in row for row in stage.get("MethodSettings", [{}])):
            yield f"{name}: not throttled"


def errors_of_the_gateway_are_problem_documents(resources: Json) -> Iterator[str]:
    for api in of_type(resources, "AWS::ApiGateway::RestApi").values():
        found = api["Body"].get("x-amazon-apigateway-gateway-responses", {})
        yield from (f"{kind} has its own format" for kind in GATEWAY_STATUSES.keys() - found.keys())
        for kind, row in found.items():
            status = GATEWAY_STATUSES[kind]
            # API Gateway takes the template of application/json if the client accepts no other that is there.
            text = row["responseTemplates"]["application/json"]
            body = json.loads(text.replace("$context.error.messageString", '"why"'))
            expected = {"type": "about:blank", "title": title_of(status), "status": status, "detail": "why"}
            # API Gateway says so of a path that the API has not, too.
            if (body.pop("fix", None) is not None) != (kind == "MISSING_AUTHENTICATION_TOKEN"):
                yield f"{kind}: no fix, or one too many"
            if row["statusCode"] != str(status) or body != {**expected, "code": code_of(status)}:
                yield f"{kind}: {row['statusCode']} {body}"
            if row["responseParameters"] != {"gatewayresponse.header.Content-Type": f"'{MEDIA_TYPE}'"}:
                yield f"{kind}: {row['responseParameters']}"


def models_of_the_api_are_draft_4(resources: Json) -> Iterator[str]:
    """API Gateway's models are JSON Schema draft 4, which knows no `nullable`: null would be refused."""
    for api in of_type(resources, "AWS::ApiGateway::RestApi").values():
        for name, model in api["Body"]["components"]["schemas"].items():
            for field, schema in {name: model, **model["properties"]}.items():
                yield from (f"{name}.{field}: {word}" for word in schema.keys() - DRAFT_4)
