"""Rules of the template about what stands at the edge: the CDN, the API, and alarms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from policies import of_type
from resolve import Json, references

SEAL_PARAMETERS = ("s", "kid", "expires")
SECRET = re.compile(r"\{\{resolve:secretsmanager:[\w/+=.@:-]+\}\}")
FAILOVER = [403, 404, 500, 503, 504]


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


def the_cdn_fails_over_to_the_function(resources: Json) -> Iterator[str]:
    for row in of_type(resources, "AWS::CloudFront::Distribution").values():
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


def signing_keys_are_only_in_the_secret(resources: Json) -> Iterator[str]:
    given = {
        name: function["Environment"]["Variables"].get("IMAGE_PROCESSOR_SIGNING_KEYS")
        for name, function in of_type(resources, "AWS::Lambda::Function").items()
    }
    if given["ProcessFunction"] is not None:
        yield "the process function signs nothing"
    yield from (
        f"{name}: {text}" for name, text in given.items() if text is not None and not SECRET.fullmatch(text)
    )
    if len({text for name, text in given.items() if name != "ProcessFunction"}) > 1:
        yield f"different keys: {given}"


def every_api_operation_is_authorised(resources: Json) -> Iterator[str]:
    for api in of_type(resources, "AWS::ApiGateway::RestApi").values():
        body = api["Body"]
        validator = body["x-amazon-apigateway-request-validators"][
            body["x-amazon-apigateway-request-validator"]
        ]
        if validator != {"validateRequestBody": True, "validateRequestParameters": True}:
            yield "bodies are not validated"
        for path, methods in body["paths"].items():
            for method, operation in methods.items():
                if method != "parameters" and operation.get("security") not in (
                    [{"key": []}],
                    [{"signature": []}],
                ):
                    yield f"{method} {path} is open"
    for name, stage in of_type(resources, "AWS::ApiGateway::Stage").items():
        if not all("ThrottlingRateLimit" in row for row in stage.get("MethodSettings", [{}])):
            yield f"{name}: not throttled"


def duration_alarms_fire_before_the_timeout(resources: Json) -> Iterator[str]:
    functions = of_type(resources, "AWS::Lambda::Function")
    for name, alarm in of_type(resources, "AWS::CloudWatch::Alarm").items():
        if alarm.get("MetricName") == "Duration":
            (function,) = references(alarm["Dimensions"])
            if alarm["Threshold"] != 800 * functions[function]["Timeout"]:
                yield name


def every_alarm_is_mailed_if_an_address_is_set(resources: Json) -> Iterator[str]:
    if of_type(resources, "AWS::SNS::Topic"):
        alarms = of_type(resources, "AWS::CloudWatch::Alarm")
        yield from (name for name, alarm in alarms.items() if alarm.get("AlarmActions") != ["<AlarmTopic>"])
