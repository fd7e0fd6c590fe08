"""Options that fit the stack into an account: distribution, policies, domains and network."""

from __future__ import annotations

from typing import Any

import pytest
from linters import Json, translated
from policies import of_type
from resolve import _Resolver, resolve

from image_processor.config.settings import PREFIX

EXISTING = {"ExistingDistributionId": "E2QWRUHEXAMPLE", "ExistingDistributionDomain": "img.example.org"}
DISTRIBUTION = "arn:aws:cloudfront::111122223333:distribution/E2QWRUHEXAMPLE"
POLICY = "658327ea-f89d-4fab-a63d-7e88639e58f6"
NETWORK = {"VpcSubnetIds": "subnet-0a1b2c3d,subnet-0a1b2c3e", "VpcSecurityGroupIds": "sg-0a1b2c3d"}
API_DOMAIN = {
    "ApiDomainName": "api.example.org",
    "ApiCertificateArn": "arn:aws:acm:eu-central-1:111122223333:certificate/a",
}


def outputs(**parameters: str) -> Json:
    template = translated()
    resolver = _Resolver(template, parameters)
    return {
        name: resolver.value(row["Value"])
        for name, row in template["Outputs"].items()
        if "Condition" not in row or resolver.holds(row["Condition"])
    }


def function(resources: Json, name: str) -> Json:
    properties: Json = resources[f"{name}Function"]["Properties"]
    return properties


def test_origin_shield_is_off_unless_a_region_is_given() -> None:
    def shields(**parameters: str) -> list[Any]:
        (distribution,) = of_type(
            resolve(translated(), **parameters), "AWS::CloudFront::Distribution"
        ).values()
        return [origin.get("OriginShield") for origin in distribution["DistributionConfig"]["Origins"]]

    assert shields() == [None, None]
    shield = {"Enabled": True, "OriginShieldRegion": "eu-central-1"}
    assert shields(OriginShieldRegion="eu-central-1") == [shield, shield]


def test_an_existing_distribution_may_read_and_invoke_and_is_purged() -> None:
    resources = resolve(translated(), EnablePurge="true", HostedZoneId="Z1", DomainName="a.b", **EXISTING)
    assert {"Distribution", "DomainRecords"}.isdisjoint(resources)
    assert {"EdgeFunction", "EdgeStore", "BucketAccess", "FunctionAccess"} <= resources.keys()
    (reads,) = (
        statement
        for statement in resources["ProcessedBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
        if statement["Sid"] == "LetCdnRead"
    )
    assert reads["Condition"] == {"StringEquals": {"aws:SourceArn": DISTRIBUTION}}
    permissions = of_type(resources, "AWS::Lambda::Permission").values()
    invokes = [row["SourceArn"] for row in permissions if row["Principal"] == "cloudfront.amazonaws.com"]
    assert invokes == [DISTRIBUTION, DISTRIBUTION]
    variables = function(resources, "Api")["Environment"]["Variables"]
    assert variables[PREFIX + "PUBLIC_URL"] == "https://img.example.org"


def test_the_outputs_hold_what_a_behavior_of_an_existing_distribution_needs() -> None:
    """And equal what the stack's own distribution has."""
    found = outputs(**EXISTING)
    assert (found["DistributionId"], found["CdnUrl"]) == ("E2QWRUHEXAMPLE", "https://img.example.org")
    own = resolve(translated())["Distribution"]["Properties"]["DistributionConfig"]
    processed, deliver = own["Origins"]
    behavior = own["DefaultCacheBehavior"]
    assert {name: found[name] for name in list(found) if name not in outputs(EnableCdn="false")} == {
        "CdnUrl": "https://img.example.org",
        "DistributionId": "E2QWRUHEXAMPLE",
        "DeliverRoleArn": "<DeliverRole.Arn>",
        "EdgeStoreArn": "<EdgeStore.Arn>",
        "ProcessedOriginDomain": processed["DomainName"],
        "ProcessedOriginAccessId": processed["OriginAccessControlId"],
        "DeliverOriginDomain": deliver["DomainName"],
        "DeliverOriginAccessId": deliver["OriginAccessControlId"],
        "EdgeFunctionArn": behavior["FunctionAssociations"][0]["FunctionARN"],
        "CachePolicyId": behavior["CachePolicyId"],
        "OriginPolicyId": behavior["OriginRequestPolicyId"],
        "HeadersPolicyId": behavior["ResponseHeadersPolicyId"],
    }


@pytest.mark.parametrize(
    ("parameter", "resource", "key", "output"),
    [
        ("ExistingCachePolicyId", "RenditionCachePolicy", "CachePolicyId", "CachePolicyId"),
        ("ExistingOriginPolicyId", "RenditionOriginPolicy", "OriginRequestPolicyId", "OriginPolicyId"),
        ("ExistingHeadersPolicyId", "RenditionHeadersPolicy", "ResponseHeadersPolicyId", "HeadersPolicyId"),
    ],
)
def test_a_stack_can_use_policies_of_another(parameter: str, resource: str, key: str, output: str) -> None:
    """By the id that the other has as an output."""
    assert resource in resolve(translated())
    resources = resolve(translated(), **{parameter: POLICY})
    assert resource not in resources
    behavior = resources["Distribution"]["Properties"]["DistributionConfig"]["DefaultCacheBehavior"]
    assert behavior[key] == POLICY
    assert outputs()[output] == f"<{resource}>"
    assert outputs(**{parameter: POLICY})[output] == POLICY


def test_the_api_has_a_domain_of_its_own_if_asked_for() -> None:
    assert "ApiDomain" not in resolve(translated())
    resources = resolve(translated(), ApiHostedZoneId="Z1", **API_DOMAIN)
    domain, mapping = (resources[name]["Properties"] for name in ("ApiDomain", "ApiMapping"))
    assert domain["RegionalCertificateArn"] == API_DOMAIN["ApiCertificateArn"]
    assert domain["SecurityPolicy"] == "TLS_1_2"
    assert mapping == {"DomainName": "<ApiDomain>", "RestApiId": "<Api>", "Stage": "<Apiv1Stage>"}
    (record,) = resources["ApiDomainRecords"]["Properties"]["RecordSets"]
    assert record["AliasTarget"]["DNSName"] == "<ApiDomain.RegionalDomainName>"
    assert outputs(**API_DOMAIN)["ApiUrl"] == "https://api.example.org"
    assert outputs(**API_DOMAIN)["ApiDomainTarget"] == "<ApiDomain.RegionalDomainName>"
    assert "ApiDomainRecords" not in resolve(translated(), **API_DOMAIN)


def test_functions_that_serve_are_in_the_vpc_and_only_lambda_uses_its_interfaces() -> None:
    resources = resolve(translated(), **NETWORK)
    config = {"SubnetIds": ["subnet-0a1b2c3d", "subnet-0a1b2c3e"], "SecurityGroupIds": ["sg-0a1b2c3d"]}
    for name in ("Process", "Api", "Deliver"):
        assert function(resources, name)["VpcConfig"] == config
        _, network = resources[f"{name}Role"]["Properties"]["Policies"]
        allowed, denied = network["PolicyDocument"]["Statement"]
        assert (allowed["Effect"], denied["Effect"]) == ("Allow", "Deny")
        assert allowed["Action"] == denied["Action"]
        assert denied["Condition"]["ArnLike"]["lambda:SourceFunctionArn"].endswith(":function:images-*")
    # CloudFront's KeyValueStore and CloudFormation's response bucket have no endpoint in a VPC.
    assert "VpcConfig" not in function(resources, "Publish")
    assert "VpcConfig" not in function(resolve(translated()), "Process")
