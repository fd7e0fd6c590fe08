"""The parameters are validated by the template's own constraints and by Lambda's limits."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import parameters
import pytest
from linters import Json, translated
from policies import of_type
from resolve import references, resolve

TEXT = parameters.TEMPLATE.read_text(encoding="utf-8")
KNOWN = parameters.read(TEXT)


def told(*given: str, stack: str = "images", region: str = "eu-central-1") -> list[str]:
    return list(parameters.problems(stack, region, list(given), KNOWN))


def test_the_plain_reader_agrees_with_yaml() -> None:
    rows = translated()["Parameters"]
    assert list(KNOWN) == list(rows)
    for name, row in rows.items():
        found = KNOWN[name]
        assert (found.kind, found.default) == (row["Type"], str(row["Default"])), name
        assert list(found.values) == [str(value) for value in row.get("AllowedValues", [])], name
        assert found.pattern == row.get("AllowedPattern"), name
        assert (found.low, found.high) == (row.get("MinValue"), row.get("MaxValue")), name


def test_every_parameter_is_bounded_and_its_default_is_allowed() -> None:
    for parameter in KNOWN.values():
        assert parameter.values or parameter.pattern or parameter.high, parameter.name
        assert parameter.allows(parameter.default), parameter.name


def test_text_that_sam_would_have_to_unquote_is_refused() -> None:
    for parameter in KNOWN.values():
        for text in ('"', "a'b", "a\\b", "https://a\\b", "line\nbreak"):
            assert not parameter.allows(text), parameter.name


# They look at values, or at more than two parameters: CloudFormation alone evaluates them, before any change.
OTHER_RULES = {
    "StudioNeedsApi",
    "CognitoNeedsPool",
    "LoginNeedsStudio",
    "RateLimitNeedsRegion",
    "DialectsNeedKeys",
    "BudgetNeedsRecipient",
}


def holds(node: Any, values: Mapping[str, str]) -> Any:
    """The value of an expression of a rule."""
    match node:
        case {"Ref": name}:
            return values[name]
        case {"Fn::Equals": [one, other]}:
            return str(holds(one, values)) == str(holds(other, values))
        case {"Fn::Not": [negated]}:
            return not holds(negated, values)
        case {"Fn::And": parts}:
            return all(holds(part, values) for part in parts)
    return node


@pytest.mark.parametrize(
    ("given", "violated"),
    [
        ({}, {}),
        ({"CdnRateLimit": "2000"}, {"RateLimitNeedsRegion": 1}),
        ({"CdnRateLimit": "2000", "AWS::Region": "us-east-1"}, {}),
        ({"CdnRateLimit": "2000", "AWS::Region": "us-east-1", "WebAclArn": "a"}, {"RateLimitNeedsRegion": 1}),
        ({"WebAclArn": "a"}, {}),
        ({"ApiAuthorization": "COGNITO"}, {"CognitoNeedsPool": 1}),
        ({"EnableStudio": "true"}, {"StudioNeedsApi": 1}),
        (
            {"EnableStudio": "true", "ApiAuthorization": "API_KEY", "EnableApi": "false"},
            {"StudioNeedsApi": 1},
        ),
        ({"EnableStudio": "true", "ApiAuthorization": "API_KEY"}, {}),
        ({"ApiAuthorization": "COGNITO", "ApiUserPoolArn": "a"}, {}),
        ({"StudioLoginDomain": "login.example.org"}, {"LoginNeedsStudio": 1}),
        (
            {"StudioLoginDomain": "login.example.org", "EnableStudio": "true", "ApiAuthorization": "API_KEY"},
            {"LoginNeedsStudio": 1},
        ),
        (
            {
                "StudioLoginDomain": "login.example.org",
                "EnableStudio": "true",
                "ApiAuthorization": "COGNITO",
                "ApiUserPoolArn": "a",
            },
            {},
        ),
        ({"ThumborSecret": "a"}, {"DialectsNeedKeys": 1}),
        ({"DitSecret": "a", "ImgproxySecret": "b"}, {"DialectsNeedKeys": 1}),
        ({"CloudinarySecret": "a"}, {"DialectsNeedKeys": 1}),
        ({"ImgixSecret": "a"}, {"DialectsNeedKeys": 1}),
        ({"ThumborSecret": "a", "SigningKeysSecret": "b"}, {}),
        ({"ThumborSecret": "a", "AllowUnsigned": "true"}, {}),
    ],
)
def test_the_templates_other_rules(given: dict[str, str], violated: dict[str, int]) -> None:
    defaults = {name: parameter.default for name, parameter in KNOWN.items()}
    values = {**defaults, "AWS::Region": "eu-central-1", **given}
    found = {
        name: [row["AssertDescription"] for row in rule["Assertions"] if not holds(row["Assert"], values)]
        for name, rule in translated()["Rules"].items()
        if holds(rule["RuleCondition"], values)
    }
    assert {name: len(texts) for name, texts in found.items() if texts} == violated
    assert all(text.startswith("expected ") for texts in found.values() for text in texts)


def test_dependent_parameters_follow_the_templates_rules() -> None:
    rules = [rule for name, rule in translated()["Rules"].items() if name not in OTHER_RULES]
    found = {
        (
            rule["RuleCondition"]["Fn::Not"][0]["Fn::Equals"][0]["Ref"],
            rule["Assertions"][0]["Assert"]["Fn::Not"][0]["Fn::Equals"][0]["Ref"],
        )
        for rule in rules
    }
    assert found == {(name, required) for name, required, _ in parameters.REQUIRES}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("MemorySize=511", "expected 512-10240 for MemorySize, got '511'"),
        ("MemorySize=2e3", "expected 512-10240 for MemorySize, got '2e3'"),
        ("MemorySize=٥٦٧", "expected 512-10240 for MemorySize, got '٥٦٧'"),
        ("Architecture=arm", "expected arm64 | x86_64 for Architecture, got 'arm'"),
        ("EnableCdn=no", "expected true | false for EnableCdn, got 'no'"),
        ("AlarmEmail=me", "for AlarmEmail, got 'me'"),
        ("Memory=1024", "expected a parameter of the template for Memory, got an unknown one"),
        ("MemorySize", "expected NAME=VALUE for a parameter, got 'MemorySize'"),
        ("HostedZoneId=Z1", "expected a domain for DomainName because HostedZoneId is given, got nothing"),
    ],
)
def test_an_invalid_parameter_is_an_error(given: str, problem: str) -> None:
    (found,) = told(given)
    assert problem in found


@pytest.mark.parametrize("domain", ["*.example.org", "img.*.org", "*"])
def test_a_wildcard_is_no_domain(domain: str) -> None:
    (found,) = told(f"DomainName={domain}", "CertificateArn=arn:aws:acm:us-east-1:111122223333:certificate/a")
    assert found.startswith("expected ")
    assert found.endswith(f" for DomainName, got '{domain}'")


@pytest.mark.parametrize(
    "given",
    [
        "MemorySize=512",
        "AlarmEmail=me+images@example.org",
        "AlarmEmail=",
        "DomainName=",
        "RenditionOrigin=https://*.example.org:8443",
        "CacheControl=no-store",
        "WebAclArn=arn:aws:wafv2:us-east-1:111122223333:global/webacl/all/1-a",
    ],
)
def test_a_valid_parameter_is_accepted(given: str) -> None:
    assert told(given) == []


def test_every_error_is_reported_at_once() -> None:
    found = told("BatchSize=0", "BatchSize=1", "X=1", stack="My_Stack", region="here")
    assert [re.sub(r".* for ", "", text) for text in found] == [
        "--stack, got 'My_Stack'",
        "--region, got 'here'",
        "BatchSize, got '0'",
        "BatchSize, got another: '1'",
        "X, got an unknown one",
    ]


def test_the_longest_stack_name_gives_valid_bucket_names() -> None:
    longest = "s" * 40
    assert told(stack=longest) == []
    assert told(stack=longest + "s") != []
    assert len(f"{longest}-processed-12345678") <= 63


LONG = {
    "Recipe": "r" * 200,
    "RecipeBucket": "b" * 63,
    "CacheControl": "public, max-age=" + "9" * 200,
    "Exif": "make," * 20,
    "Overlays": "o" * 256,
    "Sizes": ",".join(["1920"] * 40),
    "Fallback": "f" * 512,
    "UploadPrefix": "u" * 256,
    "DialectBuckets": ",".join(["b" * 60] * 7),
    "DomainName": "d" * 60 + ".example.org",
    "CertificateArn": "arn:aws:acm:us-east-1:111122223333:certificate/a",
    "AllowUnsigned": "true",
    "EnablePurge": "true",
    "EnableHints": "true",
    "DialectLenient": "true",
    "DialectAuto": "true",
    "Dialects": "cloudflare",
    "ImgproxyPresets": "small=rs:fit:200:200/q:70," * 4 + "large=q:80",
    "ImgproxyWatermark": "w" * 100,
    "CloudinaryPublicIds": "true",
    "NextWidths": "640,1080",
    "VercelWidths": "640,1080",
}
SECRETS = {
    "SigningKeysSecret": "url-keys",
    "ThumborSecret": "thumbor",
    "DitSecret": "dit",
    "ImgproxySecret": "imgproxy",
    "CloudinarySecret": "cloudinary",
    "ImgixSecret": "imgix",
}
VALUES = {
    "IMAGE_PROCESSOR_SIGNING_KEYS": "2026:" + "k" * 300,
    "IMAGE_PROCESSOR_THUMBOR_KEY": "t" * 80,
    "IMAGE_PROCESSOR_DIT_SECRET": "d" * 40,
    "IMAGE_PROCESSOR_CLOUDINARY_SECRET": "c" * 27,
    "IMAGE_PROCESSOR_IMGPROXY_KEY": "0a" * 64,
    "IMAGE_PROCESSOR_IMGPROXY_SALT": "0b" * 64,
    "IMAGE_PROCESSOR_IMGIX_TOKENS": "i" * 33,
}


def real_sizes(values: dict[str, str]) -> dict[str, int]:
    """The size of each function's environment as Lambda measures it, with the longest generated names."""
    resources = resolve(translated(), **values)
    return {
        name: len(json.dumps(as_deployed(properties["Environment"]["Variables"]), separators=(",", ":")))
        for name, properties in of_type(resources, "AWS::Lambda::Function").items()
    }


def as_deployed(variables: Json) -> Json:
    def value(name: str, text: str) -> str:
        if text.startswith("{{resolve:"):
            return VALUES[name]
        for reference in references(text):
            text = re.sub(rf"<{reference}[^>]*>", "n" * 63, text)
        return text

    return {name: value(name, str(text)) for name, text in variables.items()}


@pytest.mark.parametrize(
    "values", [{}, LONG, SECRETS, {**LONG, **SECRETS}], ids=["none", "long", "secrets", "all"]
)
def test_the_environment_is_measured_as_lambda_does(values: dict[str, str]) -> None:
    defaults = {name: parameter.default for name, parameter in KNOWN.items()}
    secrets = VALUES if "ThumborSecret" in values else {}
    sizes = parameters.environment_sizes(TEXT, {**defaults, **values}, secrets)
    real = real_sizes(values)
    assert sizes.keys() >= real.keys()  # a function that is off is measured too
    for function, size in real.items():
        assert size <= sizes[function] <= size + 500, function


def test_an_environment_above_4_kb_is_an_error_that_names_the_function() -> None:
    values = {name: parameter.default for name, parameter in KNOWN.items()} | LONG | SECRETS
    assert list(parameters.environment_problems(TEXT, values, {})) == []
    keys = {"IMAGE_PROCESSOR_SIGNING_KEYS": "k" * 2000}
    found = list(parameters.environment_problems(TEXT, values, {**VALUES, **keys}))
    assert [re.sub(r"got .*", "", text) for text in found] == [
        "expected at most 4096 bytes of environment for ApiFunction, ",
        "expected at most 4096 bytes of environment for DeliverFunction, ",
        "expected at most 4096 bytes of environment for PublishFunction, ",
    ]
